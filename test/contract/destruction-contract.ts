import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import type { RecordedState } from '../../src/domain/key-record.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { Token } from '../../src/service/ports.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import { signOne } from '../support/one-message.ts';

const { signal } = new AbortController();
const DATA = Buffer.from('data');
const TIME_MS = Date.UTC(2026, 1, 1);

function newVersion(name: string, version = 1): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
  return { name, algorithm: 'HMAC_SHA256', id };
}

/** What every implementation of the Token port does alike when versions are destroyed. */
export function testDestruction(tokenUnderTest: () => Token): void {
  const createKey = async (name: string): Promise<KeyVersion> => {
    const key = await tokenUnderTest().createKey(newVersion(name), signal);
    return key.versions[0] as KeyVersion;
  };

  const record = (version: KeyVersion, state: RecordedState) => {
    const { key, id, version: number, algorithm, createTimeMs } = version;
    const subject = { kind: 'version', key, id } as const;
    const rest = { version: number, algorithm, createTimeMs, deactivated: false };
    const written = { ...subject, ...rest, state, destroyTimeMs: TIME_MS };
    return tokenUnderTest().changeRecord(subject, () => written, signal);
  };

  /** The key as it is found alone and among all. */
  const find = async (name: string): Promise<Key | undefined> => {
    const found = await tokenUnderTest().findKey(name, signal);
    const { keys } = await tokenUnderTest().listKeys(undefined, signal);
    expect(keys.find((key) => key.name === name)).toEqual(found);
    return found;
  };

  describe('a version that is destroyed', () => {
    test('is gone, and destroying it again is no failure', async () => {
      const token = tokenUnderTest();
      const version = await createKey('end-destroyed');
      await signOne(token, version, DATA, signal);

      const first = await token.destroyVersion(version, signal);
      const second = await token.destroyVersion(version, signal);

      expect([first, second]).toEqual([true, false]);
      expect(await find('end-destroyed')).toBeUndefined();
      await expect(signOne(token, version, DATA, signal)).rejects.toMatchObject({
        reason: 'KEY_NOT_FOUND',
      });
    });

    test('leaves the other versions of its key alone', async () => {
      const token = tokenUnderTest();
      const version = await createKey('end-one');
      await token.createVersion(newVersion('end-one', 2), signal);

      await token.destroyVersion(version, signal);

      const key = await find('end-one');
      expect(key?.versions.map(({ version: number }) => number)).toEqual([2]);
    });

    test('is not destroyed for a caller who has gone', async () => {
      const version = await createKey('end-not');
      const gone = AbortSignal.abort(new SigildError('CANCELLED', 'gone'));

      const destruction = tokenUnderTest().destroyVersion(version, gone);

      await expect(destruction).rejects.toMatchObject({ reason: 'CANCELLED' });
      expect(await find('end-not')).toBeDefined();
    });
  });

  describe('a version with a record', () => {
    test('is scheduled, and unfinished for as long as the token lets it do something', async () => {
      const version = await createKey('end-scheduled');

      await record(version, 'DESTROY_SCHEDULED');
      const before = await find('end-scheduled');
      const after = await tokenUnderTest().setVersionState(version, 'SUSPENDED', signal);

      const expected = { state: 'DESTROY_SCHEDULED', destruction: { destroyTimeMs: TIME_MS } };
      expect(before?.versions).toMatchObject([{ ...expected, isUnfinished: true }]);
      expect(after.versions).toMatchObject([{ ...expected, isUnfinished: false }]);
    });

    test('is what the token lets it be when it was restored', async () => {
      const version = await createKey('end-restored');

      await record(version, 'RESTORED');

      expect((await find('end-restored'))?.versions).toMatchObject([
        { state: 'ACTIVE', destruction: { state: 'RESTORED' } },
      ]);
    });

    test('is destroyed, and unfinished for as long as the token holds it', async () => {
      const version = await createKey('end-ended');

      await record(version, 'DESTROYED');
      const before = await find('end-ended');
      await tokenUnderTest().destroyVersion(version, signal);
      const after = await find('end-ended');

      expect(before?.versions).toMatchObject([{ state: 'DESTROYED', isUnfinished: true }]);
      expect(after?.versions).toMatchObject([
        { id: version.id, state: 'DESTROYED', createTimeMs: version.createTimeMs },
      ]);
      expect(after?.versions[0]?.isUnfinished).toBeFalsy();
    });
  });

  describe('a name of which records are left alone', () => {
    test('is not taken by a version of a number that there was', async () => {
      const version = await createKey('end-taken');
      await record(version, 'DESTROYED');
      await tokenUnderTest().destroyVersion(version, signal);
      const before = await find('end-taken');

      const creation = tokenUnderTest().createKey(newVersion('end-taken'), signal);

      await expect(creation).rejects.toMatchObject({ reason: 'KEY_ALREADY_EXISTS' });
      expect(await find('end-taken')).toEqual(before);
    });

    test('is taken by the next one', async () => {
      const version = await createKey('end-taken-again');
      await record(version, 'DESTROYED');
      await tokenUnderTest().destroyVersion(version, signal);
      const settings = { rotationPeriodMs: 3_600_000, destroyable: false };
      const wanted = { ...newVersion('end-taken-again', 2), settings };

      const key = await tokenUnderTest().createKey(wanted, signal);
      const again = await tokenUnderTest().createKey(wanted, signal);

      expect(key.versions.map(({ state }) => state)).toEqual(['ACTIVE', 'DESTROYED']);
      expect(key.settings).toEqual(settings);
      expect(again).toEqual(key);
      expect(await find('end-taken-again')).toEqual(key);
    });
  });
}
