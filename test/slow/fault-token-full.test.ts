import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { failureOf } from '../support/client.ts';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { checkHealth } from '../support/health-client.ts';
import { on } from '../support/pkcs11-shim.ts';
import type { SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const data = Buffer.from('data');

vi.setConfig({ testTimeout: 120_000 });

let faulty: FaultyDaemon;

afterEach(() => faulty?.remove());

/** The labels of all that stands on the token. What has none is nobody's: SoftHSM 2.6 leaves it. */
function labels(softHsm: SoftHsm): string[] {
  const found = softHsm.pkcs11Tool('--list-objects').matchAll(/^ +label: +(?<label>\S+)$/gm);
  return [...found].map(({ groups }) => groups?.['label'] ?? '').sort();
}

function createKey(key: string) {
  return faulty.plain.createKey({ key, algorithm: 'HMAC_SHA256' });
}

async function expectToSign(): Promise<void> {
  for (let call = 0; call < 20; call++) await faulty.signOnce(data);
  expect(await checkHealth(faulty.health)).toBe('SERVING');
}

/** SoftHSM 2.6 says no more than that it failed. */
async function expectNoMoreKeys(before: readonly string[]): Promise<void> {
  const failure = await failureOf(createKey('too-much'));
  expect(failure).toMatchObject({
    reason: 'TOKEN_UNAVAILABLE',
    message: expect.stringMatching(/the token answered CKR_/),
  });
  await expectToSign();
  expect(labels(faulty.softHsm)).toEqual(before);
}

describe('fault 12 [shim]: a token that is full or read-only says so to CreateKey, and existing keys sign', () => {
  test.each([
    ['CKR_DEVICE_MEMORY', 'TOKEN_FULL', status.RESOURCE_EXHAUSTED],
    ['CKR_TOKEN_WRITE_PROTECTED', 'TOKEN_REFUSED', status.FAILED_PRECONDITION],
    ['CKR_SESSION_READ_ONLY', 'TOKEN_REFUSED', status.FAILED_PRECONDITION],
  ] as const)('%s', async (rv, reason, code) => {
    faulty = await FaultyDaemon.start();
    const before = labels(faulty.softHsm);
    await faulty.shim.control(on('C_GenerateKey', 'C_CreateObject', 'C_DestroyObject').return(rv));

    const failure = await failureOf(createKey('too-much'));

    expect(failure).toMatchObject({ code, reason, message: expect.stringContaining(rv) });
    await expectToSign();
    expect(labels(faulty.softHsm)).toEqual(before);
    await faulty.shim.control();
    await createKey('too-much');
    expect(labels(faulty.softHsm)).toEqual([...before, 'too-much'].sort());
  });
});

/** Runs the daemon where its token directory can be made read-only, for it alone. */
const OWN_MOUNTS: readonly [string, ...string[]] = [
  'unshare',
  ...['--user', '--map-root-user', '--mount', 'sh', '-c'],
  ...['cd "$(dirname "$SOFTHSM2_CONF")" && mount --bind tokens tokens && exec "$@"', 'sh'],
];

function mountTokens(mode: 'ro' | 'rw'): void {
  const pid = String(faulty.daemon.process.pid);
  const tokens = join(faulty.softHsm.directory, 'tokens');
  execFileSync('nsenter', [
    ...['--target', pid, '--user', '--mount', '--preserve-credentials'],
    ...['mount', '-o', `remount,bind,${mode}`, tokens],
  ]);
}

test('fault 12 [SoftHSM]: a store that is mounted read-only fails CreateKey alone, until it is writable again', async () => {
  faulty = await FaultyDaemon.start({ launcher: OWN_MOUNTS });
  const before = labels(faulty.softHsm);
  mountTokens('ro');

  await expectNoMoreKeys(before);
  mountTokens('rw');
  await createKey('too-much');
  expect(labels(faulty.softHsm)).toEqual([...before, 'too-much'].sort());
  mountTokens('ro');
  for (const pid of faulty.hosts) process.kill(pid, 'SIGKILL');
  await until(() => faulty.replacements >= 2 && faulty.hosts.length === 2);
  await expectToSign();
});

/** How large the files may get that the host for changes writes, in bytes. */
function limitFiles(bytes: number | 'unlimited'): void {
  const started = faulty.daemon.logLines.filter(
    ({ msg }) => msg === 'the token host for changes is logged in',
  );
  const pid = started.at(-1)?.['hostPid'];
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
}

test('fault 12 [SoftHSM]: a store in which no byte can be written fails CreateKey alone, and leaves no key', async () => {
  faulty = await FaultyDaemon.start();
  await createKey('before');
  const before = labels(faulty.softHsm);
  limitFiles(0);

  await expectNoMoreKeys(before);
  limitFiles('unlimited');
  await createKey('too-much');
  expect(labels(faulty.softHsm)).toEqual([...before, 'too-much'].sort());
});
