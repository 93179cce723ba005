// node fault-matrix.js [--check] [FOLDER]
//
// Writes the table of faults into the README of FOLDER (this one unless given) from the titles of
// the tests below its test/. A test or describe that proves a row is called
//
//   fault N [TOKEN, ...]: what it proves
//
// With --check it writes nothing, and exits with 1 when the README has another table.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BEGIN = '<!-- faults: what follows is made by npm run faults -->\n';
const END = '<!-- end of the faults -->\n';

/** By their numbers, from 1: what goes wrong, and what is to be expected then. */
const FAULTS = [
  [
    'the token is slow: 2, 20 or 200 ms with jitter',
    "sessions / latency is the throughput; the front's event loop is never late by more than 10 ms, " +
      'but for want of a processor',
  ],
  [
    'calls fail with each code of Cryptoki that has a meaning, before and after the real call',
    'each code has its answer; the next request on every session is right',
  ],
  [
    '5 % random failures of four kinds, for a minute under load',
    'no wrong MAC, no leaked session, client errors well under 1 %',
  ],
  [
    'sessions lost, login lost, device removed for 30 s and back',
    'NOT_SERVING within 2 s, at most one login a host start, back within one step of the backoff',
  ],
  [
    '`C_Sign`, `C_SignInit`, `C_Login` or `C_FindObjects` hangs',
    'callers answered at their deadline, host replaced, others unaffected, SIGTERM ends in time',
  ],
  [
    'the library aborts or segfaults under load',
    'no acknowledged result lost, no call with a deadline of 5 s fails, no core file',
  ],
  [
    'a wrong PIN at start, 20 supervised restarts; the PIN changed while running',
    'exactly one login with it; the token is not locked; a message that says what to do',
  ],
  [
    'the token deleted, restored, replaced by another of the same label',
    'UNAVAILABLE, never NOT_FOUND; another serial number stops the daemon with a message',
  ],
  ['key handles that change meaning while hosts are replaced', "every MAC is its key's"],
  [
    'the remote side of the library killed, restarted, frozen',
    'recovered by replacement, without a restart of the daemon',
  ],
  [
    'fewer sessions than asked for; idle sessions reaped by the token',
    'the pool shrinks or reopens; no error at low load',
  ],
  ["the token's store full or read-only", 'a clear error for CreateKey; existing keys sign'],
  [
    'a corrupted or short MAC from the library',
    'noticed: the length always, the key when it is loaded, the canary at each probe',
  ],
  [
    'SIGKILL of the daemon at random, but for the moments in which SoftHSM has emptied a file, 100 times, under load that creates, rotates and signs',
    'the token opens, every acknowledged key signs, the audit log verifies',
  ],
  [
    'the clock jumps, no file descriptor is left, no space for the audit log',
    'fails closed where audit is required, healthy again afterwards',
  ],
  [
    'a soak at 70 % load with one random fault a minute',
    'memory, file descriptors and sessions flat; no wrong answer',
  ],
  [
    'two daemons on one token behind nginx, one killed, drained, upgraded in turn under load',
    'clients see no failed call',
  ],
];

const TOKENS = ['shim', 'SoftHSM', 'openCryptoki', 'p11-kit'];

/** A string that begins like a title of a test of faults. */
const CANDIDATE = /(?<quote>['"`])(?<title>fault \d(?:\\.|(?!\k<quote>)[^\\\n])*)\k<quote>/g;
const TITLE = /^fault (?<row>\d+) \[(?<tokens>[\w, -]+)\]: (?<claim>[^|[\]`]+)$/;

function main(args) {
  const isCheck = args.includes('--check');
  const folder = args.find((arg) => !arg.startsWith('--')) ?? join(import.meta.dirname, '../..');
  const file = join(folder, 'README.md');
  const readme = readFileSync(file, 'utf8');
  const filled = withTable(readme, tableOf(testsIn(folder)));
  if (!isCheck) {
    writeFileSync(file, filled);
  } else if (filled !== readme) {
    throw new Error(`${file} has not the faults that the tests are called by: npm run faults`);
  }
}

/** The tests that prove a row, by their files and places. */
function testsIn(folder) {
  const files = readdirSync(join(folder, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `test/${file}`)
    .sort();
  return files.flatMap((file) => {
    const titles = readFileSync(join(folder, file), 'utf8').matchAll(CANDIDATE);
    return [...titles].map(({ groups }) => parse(file, groups.title.replace(/\\(.)/g, '$1')));
  });
}

function parse(file, title) {
  const { row, tokens = '', claim } = TITLE.exec(title)?.groups ?? {};
  const names = tokens.split(', ');
  if (FAULTS[row - 1] && names.every((name) => TOKENS.includes(name))) {
    return { file, row: Number(row), tokens: names, claim };
  }
  throw new Error(
    `${file}: "${title}" is not "fault N [TOKEN, ...]: what it proves" with N from 1 to ` +
      `${FAULTS.length} and tokens of ${TOKENS.join(', ')}`,
  );
}

function tableOf(tests) {
  const rows = FAULTS.map(([fault, expected], index) => {
    const own = tests.filter(({ row }) => row === index + 1);
    const tokens = TOKENS.filter((token) => own.some((test) => test.tokens.includes(token)));
    const links = own.map(({ claim, file }) => `[${claim}](${file})`);
    return [index + 1, fault, expected, tokens.join(', '), links.join('; ')];
  });
  return [['#', 'Fault', 'Expected', 'Tokens', 'Tests'], Array(5).fill('---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |\n`)
    .join('');
}

function withTable(readme, table) {
  const [before, section, ...others] = readme.split(BEGIN);
  const [, after, ...more] = section?.split(END) ?? [];
  if (after === undefined || others.length + more.length > 0) {
    throw new Error(`the README needs two lines, once each:\n${BEGIN}${END}`.trimEnd());
  }
  return `${before}${BEGIN}\n${table}\n${END}${after}`;
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
