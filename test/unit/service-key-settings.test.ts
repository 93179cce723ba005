import { describe, expect, test } from 'vitest';
import type { ErrorReason } from '../../src/domain/errors.ts';
import { DEFAULT_SETTINGS, type KeySettings } from '../../src/domain/key-record.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AccessPolicy, type Grant, OPERATIONS } from '../../src/service/access-policy.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { KeySettingsService } from '../../src/service/key-settings.ts';
import { Turns } from '../../src/service/turns.ts';
import { FakeToken } from '../support/fake-token.ts';

const HOUR_MS = 3_600_000;

const { signal } = new AbortController();

const GRANTS: readonly [string, readonly Grant[]][] = [
  ['admin', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['reader', [{ keys: [namePattern('*')], operations: ['getKey'] }]],
];

async function startService(settings?: KeySettings) {
  const token = new FakeToken();
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 1_000, onAmbiguous: () => undefined });
  const service = new KeySettingsService({
    ...{ token, catalog, policy: new AccessPolicy(new Map(GRANTS)) },
    ...{ minRotationPeriodMs: HOUR_MS, turns: new Turns() },
  });
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: Buffer.alloc(6, 1) });
  await token.createKey({ name: 'webhooks', algorithm: 'HMAC_SHA256', id, settings }, signal);
  const update = (rotationPeriodMs: number | undefined, client = 'admin', key = 'webhooks') =>
    service.updateKey({ client, signal }, { key, rotationPeriodMs });
  return { token, catalog, service, update };
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

describe('updateKey', () => {
  test('gives a key without settings a rotation period', async () => {
    const { update, catalog, token } = await startService();

    const key = await update(2 * HOUR_MS);

    expect(key.settings).toEqual({ rotationPeriodMs: 2 * HOUR_MS, destroyable: true });
    expect(catalog.peek('webhooks')).toEqual(key);
    expect(await token.findKey('webhooks', signal)).toEqual(key);
  });

  test('changes nothing else of the settings', async () => {
    const { update } = await startService({ rotationPeriodMs: HOUR_MS, destroyable: false });

    const key = await update(undefined);

    expect(key.settings).toEqual({ rotationPeriodMs: undefined, destroyable: false });
  });

  test('writes nothing when the period is what it was', async () => {
    const { update, token } = await startService({ rotationPeriodMs: HOUR_MS, destroyable: true });
    const before = await token.findKey('webhooks', signal);

    const key = await update(HOUR_MS);

    expect(key).toEqual(before);
  });

  test('needs no record to take away a period that there is not', async () => {
    const { update, token } = await startService();
    token.keepsRecords = false;

    expect((await update(undefined)).settings).toEqual(DEFAULT_SETTINGS);
  });

  test('keeps the settings of a key whose first version another tool has destroyed', async () => {
    const { update, token } = await startService({ rotationPeriodMs: HOUR_MS, destroyable: false });
    const key = await token.findKey('webhooks', signal);
    const id = encodeVersionId({ createTimeMs: Date.now(), version: 2, tag: Buffer.alloc(6, 2) });
    await token.createVersion({ name: 'webhooks', algorithm: 'HMAC_SHA256', id }, signal);
    token.remove(key?.versions[0]?.id ?? '');

    const changed = await update(2 * HOUR_MS);

    expect(changed.settings).toEqual({ rotationPeriodMs: 2 * HOUR_MS, destroyable: false });
  });

  test.each([1, HOUR_MS - 1, 3_650 * 24 * HOUR_MS + 1])(
    'refuses a period of %i ms',
    async (period) => {
      const { update, token } = await startService();

      await expect(update(period)).rejects.toMatchObject({
        reason: 'FIELD_INVALID',
        violations: [{ field: 'rotation_period' }],
      });
      expect(token.calls.changeRecord).toBe(0);
    },
  );

  test('is refused where the token keeps no records', async () => {
    const { update, token } = await startService();
    token.keepsRecords = false;

    await expectReason(update(HOUR_MS), 'TOKEN_REFUSED');
  });

  test.each([
    ['a client without a grant', 'stranger', 'KEY_NOT_FOUND'],
    ['a client that may only read the key', 'reader', 'PERMISSION_DENIED'],
  ] as const)('is denied to %s', async (_, client, reason) => {
    const { update, token } = await startService();

    await expectReason(update(HOUR_MS, client), reason);
    expect(token.calls.changeRecord).toBe(0);
  });

  test('says that there is no such key', async () => {
    const { update } = await startService();

    await expectReason(update(HOUR_MS, 'admin', 'missing'), 'KEY_NOT_FOUND');
  });
});
