import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import {
  DEFAULT_SETTINGS,
  type KeyRecord,
  type KeySettings,
  type RecordSubject,
  type VersionRecord,
} from '../../src/domain/key-record.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { Token } from '../../src/service/ports.ts';
import type { NewKey } from '../../src/service/token-values.ts';

const signal = new AbortController().signal;

const SETTINGS: KeySettings = { rotationPeriodMs: 3_600_000, destroyable: false };

const CHANGES = 3;

function newKey(name: string, settings: KeySettings | undefined, tag = randomBytes(6)): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag });
  return { name, algorithm: 'HMAC_SHA256', id, settings };
}

function subjectOf(key: Key): RecordSubject {
  return { kind: 'settings', key: key.name, id: key.versions.at(-1)?.id ?? '' };
}

function withPeriod(subject: RecordSubject, rotationPeriodMs: number): KeyRecord {
  const settings = { rotationPeriodMs, destroyable: true };
  return { ...subject, kind: 'settings', version: 1, settings };
}

function periodOf(record: KeyRecord | undefined): number {
  return (record?.kind === 'settings' && record.settings.rotationPeriodMs) || 0;
}

/** What every implementation of the Token port does alike with records of keys. */
export function testRecords(tokenUnderTest: () => Token): void {
  test('creates a key that has settings from the first moment', async () => {
    const token = tokenUnderTest();

    const key = await token.createKey(newKey('settings', SETTINGS), signal);

    expect(key).toMatchObject({ name: 'settings', settings: SETTINGS });
    expect(await token.findKey('settings', signal)).toEqual(key);
    const { keys } = await token.listKeys(undefined, signal);
    expect(keys.find(({ name }) => name === 'settings')).toEqual(key);
  });

  test('keeps the settings of a key whose creation is repeated', async () => {
    const token = tokenUnderTest();
    const tag = randomBytes(6);
    const key = await token.createKey(newKey('settings-again', SETTINGS, tag), signal);

    const again = await token.createKey(newKey('settings-again', DEFAULT_SETTINGS, tag), signal);

    expect(again).toEqual(key);
  });

  test('keeps the settings of a key that another creation wants to make', async () => {
    const token = tokenUnderTest();
    const key = await token.createKey(newKey('settings-taken', undefined), signal);

    const creation = token.createKey(newKey('settings-taken', SETTINGS), signal);

    await expect(creation).rejects.toMatchObject({ reason: 'KEY_ALREADY_EXISTS' });
    expect(await token.findKey('settings-taken', signal)).toEqual(key);
  });

  test('leaves no settings behind where it refuses to make the key', async () => {
    const token = tokenUnderTest();
    const refused = {
      ...newKey('settings-refused', SETTINGS),
      algorithm: 'HMAC_SHA3_256',
    } as const;

    const creation = token.createKey(refused, signal);

    await expect(creation).rejects.toMatchObject({ reason: 'ALGORITHM_UNSUPPORTED' });
    const key = await token.createKey(newKey('settings-refused', undefined), signal);
    expect(key.settings).toEqual(DEFAULT_SETTINGS);
    expect(key.leftovers).toBeUndefined();
  });

  test('keeps the settings of a key through new versions and states', async () => {
    const token = tokenUnderTest();
    const key = await token.createKey(newKey('settings-grown', SETTINGS), signal);
    const first = key.versions[0] as KeyVersion;
    const id = encodeVersionId({ createTimeMs: Date.now(), version: 2, tag: randomBytes(6) });

    const grown = await token.createVersion({ ...newKey('settings-grown', undefined), id }, signal);
    const changed = await token.setVersionState(first, 'DEACTIVATED', signal);

    expect([grown.settings, changed.settings]).toEqual([SETTINGS, SETTINGS]);
  });

  test('replaces a record', async () => {
    const token = tokenUnderTest();
    const key = await token.createKey(newKey('replaced', undefined), signal);
    const subject = subjectOf(key);
    const told: (KeyRecord | undefined)[] = [];
    const to = (periodMs: number) => (current: KeyRecord | undefined) => {
      told.push(current);
      return withPeriod(subject, periodMs);
    };

    await token.changeRecord(subject, to(1_000), signal);
    await token.changeRecord(subject, to(2_000), signal);

    expect(told).toEqual([undefined, withPeriod(subject, 1_000)]);
    const found = await token.findKey('replaced', signal);
    expect(found?.settings).toEqual({ rotationPeriodMs: 2_000, destroyable: true });
    expect(found?.leftovers).toBeUndefined();
  });

  test('leaves a record as it is where a change says so, or refuses', async () => {
    const token = tokenUnderTest();
    const key = await token.createKey(newKey('left', SETTINGS), signal);
    const refusal = new SigildError('KEY_STATE_FORBIDS', 'no');

    await token.changeRecord(subjectOf(key), () => undefined, signal);
    const refused = token.changeRecord(
      subjectOf(key),
      () => {
        throw refusal;
      },
      signal,
    );

    await expect(refused).rejects.toBe(refusal);
    expect(await token.findKey('left', signal)).toEqual(key);
  });

  test('makes every one of several changes of a record that come at once', async () => {
    const token = tokenUnderTest();
    const key = await token.createKey(newKey('changed-at-once', undefined), signal);
    const subject = subjectOf(key);
    const set = (bit: number) => (current: KeyRecord | undefined) =>
      withPeriod(subject, periodOf(current) | (1 << bit));

    await Promise.all(
      Array.from({ length: CHANGES }, (_, bit) => token.changeRecord(subject, set(bit), signal)),
    );

    const found = await token.findKey('changed-at-once', signal);
    expect(found?.settings.rotationPeriodMs).toBe(2 ** CHANGES - 1);
    expect(found?.leftovers).toBeUndefined();
  });

  test('keeps records of versions beside the settings', async () => {
    const token = tokenUnderTest();
    const key = await token.createKey(newKey('two-kinds', SETTINGS), signal);
    const subject = { ...subjectOf(key), kind: 'version' } as const;
    const record: VersionRecord = {
      ...{ ...subject, version: 1, algorithm: 'HMAC_SHA256', state: 'RESTORED' },
      ...{ destroyTimeMs: 1, deactivated: true, createTimeMs: undefined },
    };
    let read: KeyRecord | undefined;

    await token.changeRecord(subject, () => record, signal);
    await token.changeRecord(
      subject,
      (current) => {
        read = current;
        return undefined;
      },
      signal,
    );

    expect(read).toEqual(record);
    expect((await token.findKey('two-kinds', signal))?.settings).toEqual(SETTINGS);
  });

  test('changes nothing for a caller who has gone', async () => {
    const token = tokenUnderTest();
    const key = await token.createKey(newKey('unchanged-record', SETTINGS), signal);
    const gone = AbortSignal.abort(new SigildError('CANCELLED', 'gone'));

    const change = token.changeRecord(subjectOf(key), (current) => current, gone);

    await expect(change).rejects.toMatchObject({ reason: 'CANCELLED' });
    expect(await token.findKey('unchanged-record', signal)).toEqual(key);
  });
}
