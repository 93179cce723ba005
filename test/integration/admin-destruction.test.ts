import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { type Run, sigilctl } from './admin-sigilctl.ts';

let rpc: RpcFixture;
/** `unix:PATH` */
let address = '';

beforeEach(async () => {
  rpc = startRpc();
  address = await rpc.listen();
});

afterEach(() => rpc.close());

function key(verb: string, ...args: readonly string[]): Promise<Run> {
  return sigilctl(['key', verb, 'webhooks', ...args, '--address', address]);
}

function versionsOf({ stdout }: Run): readonly { state: string; destroyTime?: string }[] {
  return JSON.parse(stdout).versions;
}

/** A key of two versions, the first of which is DEACTIVATED. */
async function createKey(): Promise<void> {
  await key('create', '--algorithm', 'HMAC_SHA256');
  await key('rotate');
}

describe('key destroy', () => {
  test('schedules, shows the time and tells how to take it back', async () => {
    await createKey();

    const run = await key('destroy', '--version', '1', '--delay', '7d', '-o', 'json');

    const [, version] = versionsOf(run);
    expect(version).toMatchObject({ state: 'DESTROY_SCHEDULED' });
    const inMs = Date.parse(version?.destroyTime ?? '') - Date.now();
    expect(inMs).toBeGreaterThan(6 * 86_400_000);
    expect(inMs).toBeLessThanOrEqual(7 * 86_400_000);
    const shown = await key('show');
    expect(shown.stdout).toMatch(/^VERSION +STATE +DESTROY TIME /m);
    expect(shown.stdout).toContain(version?.destroyTime);
  });

  test('says for people what will happen', async () => {
    await createKey();

    const run = await key('destroy', '--version', '1');

    expect(run.stderr).toMatch(/version 1 of key webhooks will be destroyed at \d{4}-/);
    expect(run.stderr).toContain('sigilctl key restore webhooks --version 1 takes that back');
  });

  test.each([
    ['an ACTIVE version', ['--version', '2'], 1, 'KEY_STATE_FORBIDS'],
    ['a version that is not there', ['--version', '3'], 1, 'KEY_VERSION_NOT_FOUND'],
    ['no version', [], 64, '--version'],
    ['a delay that is none', ['--version', '1', '--delay', '1w'], 64, '90d'],
    ['a delay that is too long', ['--version', '1', '--delay', '9999d'], 1, 'FIELD_INVALID'],
  ])('refuses %s', async (_, args, exitCode, message) => {
    await createKey();

    const run = await key('destroy', ...args);

    expect(run).toMatchObject({ exitCode, stdout: '' });
    expect(run.stderr).toContain(message);
  });

  test('has the last version confirmed', async () => {
    await createKey();
    await key('suspend', '--version', '2');
    await key('destroy', '--version', '1');
    const destroy = (...args: readonly string[]) => key('destroy', '--version', '2', ...args);

    const unconfirmed = await destroy();
    const misspelt = await destroy('--confirm', 'webhook');
    const confirmed = await destroy('--confirm', 'webhooks', '-o', 'json');

    expect(unconfirmed).toMatchObject({ exitCode: 64, stdout: '' });
    expect(unconfirmed.stderr).toContain('repeat with --confirm webhooks');
    expect(misspelt).toMatchObject({ exitCode: 64, stdout: '' });
    expect(misspelt.stderr).toContain('nothing was changed');
    expect(versionsOf(confirmed)[0]?.state).toBe('DESTROY_SCHEDULED');
  });
});

describe('key restore', () => {
  test('takes a destruction back', async () => {
    await createKey();
    await key('destroy', '--version', '1');

    const run = await key('restore', '--version', '1', '-o', 'json');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(versionsOf(run)[1]).toEqual(expect.objectContaining({ state: 'SUSPENDED' }));
    expect(versionsOf(run)[1]).not.toHaveProperty('destroyTime');
  });

  test('refuses what is not scheduled', async () => {
    await createKey();

    const run = await key('restore', '--version', '2');

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('is ACTIVE: its destruction is not scheduled');
  });
});

test('key create takes the name of a destroyed key when it is told to', async () => {
  await key('create', '--algorithm', 'HMAC_SHA256');
  await key('suspend', '--version', '1');
  await key('destroy', '--version', '1', '--delay', '0s', '--confirm', 'webhooks');

  const refused = await key('create', '--algorithm', 'HMAC_SHA256');
  const run = await key('create', '--algorithm', 'HMAC_SHA256', '--reuse-name', '-o', 'json');

  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('reuse_name');
  expect(versionsOf(run).map(({ state }) => state)).toEqual(['ACTIVE', 'DESTROYED']);
});
