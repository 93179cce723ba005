import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { type Run, sigilctl } from '../integration/admin-sigilctl.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const VALUE = randomBytes(32);
const DATA = 'data';

/** Of calls that wait for the token host that changes the token, on a busy machine. */
const PATIENT = { deadlineMs: 30_000 };

let softHsm: SoftHsm;
let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: 'adopted-key', value: VALUE });
  softHsm.writeKey({ label: 'foreign', value: VALUE });
  daemon = await startDaemon(softHsm, { config: { keys: { minDestroyDelayMs: 0 } } });
  client = connect({ address: daemon.addresses[0] ?? '' });
  await client.keys.create('webhooks', 'HMAC_SHA256', PATIENT);
  await client.keys.rotate('webhooks', PATIENT);
  await client.keys.rotate('webhooks', PATIENT);
  await client.keys.scheduleDestroy('webhooks', 2, { ...PATIENT, delayMs: 86_400_000 });
});

afterAll(async () => {
  await client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

/** Every object on the token, as another program shows it, records and usage included. */
function objects(): string {
  return softHsm.pkcs11Tool('--list-objects');
}

function run(...args: readonly string[]): Promise<Run> {
  const environment = { ...process.env, SIGILD_ADDRESS: daemon.addresses[0] };
  return sigilctl([...args, '--timeout-ms', '30000', '--dry-run'], { environment, stdin: DATA });
}

test.each([
  ['create', ['new', '--algorithm', 'EC_SIGN_P256_SHA256', '--rotation-period', '90d']],
  ['import', ['partner', '--algorithm', 'HMAC_SHA256', '--format', 'text', '--secret-stdin']],
  ['rotate', ['webhooks']],
  ['update', ['webhooks', '--rotation-period', '90d']],
  ['suspend', ['webhooks', '--version', '3']],
  ['deactivate', ['webhooks', '--version', '3']],
  ['destroy', ['webhooks', '--version', '1', '--delay', '0s']],
  ['destroy', ['webhooks', '--version', '1']],
  ['restore', ['webhooks', '--version', '2']],
])('key %s, when it is tried, leaves every object on the token as it is', async (verb, args) => {
  const before = objects();

  const { exitCode, stderr, stdout } = await run('key', verb, ...args);

  expect({ exitCode, stderr }).toEqual({
    exitCode: 0,
    stderr: expect.stringContaining('nothing was changed'),
  });
  expect(stdout).toContain(args[0]);
  expect(objects()).toBe(before);
});

test('sign tells which version would sign, and prints no signature', async () => {
  const { exitCode, stdout, stderr } = await run('sign', '--key', 'webhooks');

  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
  expect(stderr).toMatch(/version 3 \(id [0-9a-f]{32}\) would sign/);
});

test('verify finds nothing wrong with a signature that it does not look at', async () => {
  const mac = createHmac('sha256', VALUE).update(DATA).digest('base64');

  const { exitCode, stdout } = await run('verify', '--key', 'adopted-key', '--signature', mac);

  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
});

test('data that would be streamed cannot be tried', async () => {
  const environment = { ...process.env, SIGILD_ADDRESS: daemon.addresses[0] };
  const stdin = Buffer.alloc(2 * 1_048_576);

  const { exitCode, stderr } = await sigilctl(['sign', '--key', 'webhooks', '--dry-run'], {
    environment,
    stdin,
  });

  expect(exitCode).toBe(64);
  expect(stderr).toContain('at most 1 MiB');
});

test.each([
  ['a name that a key of another tool has', 'foreign', 'HMAC_SHA256', 'KEY_ALREADY_EXISTS'],
  ['an algorithm that the token lacks', 'new', 'HMAC_SHA3_256', 'ALGORITHM_UNSUPPORTED'],
  ['an algorithm that is not enabled', 'new', 'HMAC_SHA1', 'ALGORITHM_DISABLED'],
] as const)('%s is refused alike when it is tried', async (_, name, algorithm, reason) => {
  const create = (dryRun: boolean) => client.keys.create(name, algorithm, { ...PATIENT, dryRun });
  const before = objects();

  const tried = await create(true).catch((error: unknown) => error);

  expect(tried).toMatchObject({ reason });
  expect(await create(false).catch((error: unknown) => error)).toEqual(tried);
  expect(objects()).toBe(before);
});
