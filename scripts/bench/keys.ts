import { createFilledToken, type FilledToken, type KnownKey } from './filled-token.ts';
import { DATA, DEADLINE_MS, KeyLoad } from './key-load.ts';
import { memoryOf } from './process-figures.ts';
import { Resources } from './resources.ts';
import { compareInTurns, type Sample } from './rounds.ts';
import type { Context, Outcome, Row, Scenario } from './scenario.ts';
import { startBuiltDaemon, whenComplete } from './servers.ts';

/** Tokens with so many keys; the first is compared with the others. */
const SIZES = [10_000, 1_000, 10];

/** With which keys of a token to sign: the same ten whatever their number, or any of them. */
const CHOICES = [
  { suffix: '', choose: (all: readonly KnownKey[]) => all.slice(0, 10) },
  { suffix: '-spread', choose: (all: readonly KnownKey[]) => all },
];

const CALLERS = 256;

/** By then each host has looked at all keys: what a start costs is not a part of the measurement. */
const WARM_UP_SECONDS = 12;

/** The daemon lists the token so often: what that costs is a part of each measurement. */
const REFRESH_SECONDS = 10;

export const keys: Scenario = {
  name: 'keys',
  summary: `sign with 10, 1,000 and 10,000 keys on the token, for at least ${REFRESH_SECONDS} s each`,
  run,
};

type KeysSample = Sample & Pick<Row, 'startMs' | 'serverMiB' | 'hostsMiB'>;

/** A token, and those of its keys with which to sign. */
interface Subject extends FilledToken {
  readonly name: string;
}

async function run(context: Context): Promise<Outcome> {
  const tokens: FilledToken[] = [];
  for (const size of SIZES) tokens.push(await createFilledToken(size, DATA, context));
  const outcomes: Outcome[] = [];
  for (const { suffix, choose } of CHOICES) {
    const subjects = tokens.map(({ softHsm, keys: all }) => ({
      name: `keys-${all.length}${suffix}`,
      softHsm,
      keys: choose(all),
    }));
    outcomes.push(await compareInTurns(subjects, context, (each) => measure(each, context)));
  }
  return {
    rows: outcomes.flatMap(({ rows }) => rows),
    ratios: Object.assign({}, ...outcomes.map(({ ratios }) => ratios)),
  };
}

/** In a daemon that is started for it, so that no other lists its token meanwhile. */
async function measure(
  { name, softHsm, keys: used }: Subject,
  { seconds, signal }: Context,
): Promise<KeysSample> {
  const resources = new Resources();
  try {
    const startedAtMs = performance.now();
    const daemon = await startBuiltDaemon(softHsm, resources, {
      limits: { defaultDeadlineMs: DEADLINE_MS },
    });
    const startMs = performance.now() - startedAtMs;
    const server = await whenComplete(name, daemon);
    const load = new KeyLoad(server, { callers: CALLERS, keys: used }, { resources, signal });
    await load.signFor(WARM_UP_SECONDS);
    const sample = await load.signFor(Math.max(seconds, REFRESH_SECONDS));
    const hostsMiB = server.hosts.map(({ pid }) => memoryOf(pid).proportionalMiB);
    return {
      ...sample,
      startMs,
      serverMiB: memoryOf(server.pid).proportionalMiB,
      hostsMiB: hostsMiB.reduce((sum, mib) => sum + mib, 0),
    };
  } finally {
    await resources.release();
  }
}
