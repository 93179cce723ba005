import { createHash, createHmac, createPublicKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ALGORITHM_NAMES,
  type Algorithm,
  hashOf,
  isAgreementAlgorithm,
  isPairAlgorithm,
  signatureBytes,
} from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { DEFAULT_SETTINGS } from '../../src/domain/key-record.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { Token } from '../../src/service/ports.ts';
import type { Intent, NewKey } from '../../src/service/token-values.ts';
import { signOne, verifyOne } from '../support/one-message.ts';
import { testAgreement } from './agreement-contract.ts';
import { testDestruction } from './destruction-contract.ts';
import { describeImports } from './key-import-contract.ts';
import { testRecords } from './record-contract.ts';

/** A token under test, and how a test gets a key of known value onto it. */
export interface TokenUnderTest {
  readonly token: Token;
  /** Puts a key that another tool could have made where an adopt rule gives it HMAC_SHA256. */
  writeKey(name: string, value: Buffer, ckaId?: string): Promise<void>;
  close(): Promise<void>;
}

/** What SoftHSM 2.6 lacks; a token in memory is made to lack the same. */
export const LACKING = ['HMAC_SHA3_256', 'HMAC_SHA3_384', 'HMAC_SHA3_512'] as const;

/** RSA of one size has to do, which takes a token long enough to make. */
const ABLE = ALGORITHM_NAMES.filter(
  (algorithm) =>
    !LACKING.some((lack) => lack === algorithm) && !/^RSA.*_(3072|4096)_/.test(algorithm),
);

const PAIRS = ABLE.filter(isPairAlgorithm);

/** Those that need no peer. */
const ALONE = ABLE.filter((algorithm) => !isAgreementAlgorithm(algorithm));

const signal = new AbortController().signal;

function newKey(name: string, algorithm: Algorithm = 'HMAC_SHA256', tag = randomBytes(6)): NewKey {
  return { name, algorithm, id: encodeVersionId({ createTimeMs: Date.now(), version: 1, tag }) };
}

function newVersion(name: string, version: number): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
  return { name, algorithm: 'HMAC_SHA256', id };
}

function firstVersion(key: Key | undefined): KeyVersion {
  const version = key?.versions.at(-1);
  if (!version) throw new Error('the key has no version');
  return version;
}

function hmac(value: Buffer, data: Uint8Array): Buffer {
  return createHmac('sha256', value).update(data).digest();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (failure: unknown) => failure,
  );
  if (error instanceof SigildError) return error.reason;
  throw error;
}

function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

/** What every implementation of the Token port does alike. */
export function describeToken(name: string, start: () => Promise<TokenUnderTest>): void {
  describe(name, () => {
    let subject: TokenUnderTest;
    let token: Token;

    beforeAll(async () => {
      subject = await start();
      token = subject.token;
    });

    afterAll(async () => subject?.close());

    test('finds no key that is not there', async () => {
      expect(await token.findKey('nothing', signal)).toBeUndefined();
    });

    test.each(ABLE)('creates a key for %s that cannot leave the token', async (algorithm) => {
      const wanted = newKey(`made-${algorithm}`, algorithm);

      const key = await token.createKey(wanted, signal);

      expect(key).toMatchObject({
        name: wanted.name,
        versions: [
          {
            key: wanted.name,
            version: 1,
            id: Buffer.from(wanted.id).toString('hex'),
            algorithm,
            state: 'ACTIVE',
            createTimeMs: expect.any(Number),
            attributes: {
              sensitive: true,
              extractable: false,
              alwaysSensitive: true,
              neverExtractable: true,
              local: true,
            },
          },
        ],
      });
      expect(await token.findKey(wanted.name, signal)).toEqual(key);
    });

    test.each(ALONE)('signs and verifies with %s', async (algorithm) => {
      const version = firstVersion(
        await token.createKey(newKey(`use-${algorithm}`, algorithm), signal),
      );
      const data = randomBytes(256);

      const mac = await signOne(token, version, data, signal);

      expect(mac.byteLength).toBe(signatureBytes(algorithm));
      expect(await verifyOne(token, [version], data, mac, signal)).toEqual(version);
      expect(await verifyOne(token, [version], randomBytes(256), mac, signal)).toBeUndefined();
    });

    test.each(PAIRS)('signs with %s a digest as the data that it is of', async (algorithm) => {
      const version = firstVersion(
        await token.createKey(newKey(`digest-${algorithm}`, algorithm), signal),
      );
      const data = randomBytes(256);
      const hash = hashOf(algorithm);
      const digest = hash === undefined ? data : createHash(hash).update(data).digest();
      const verifyAs = (message: Uint8Array, mac: Uint8Array, digests: boolean) =>
        token.verify([version], [{ data: message, mac }], signal, digests);

      const [ofDigest = data] = await token.sign(version, [digest], signal, true);
      const [ofData = data] = await token.sign(version, [data], signal);

      for (const mac of [ofDigest, ofData]) {
        expect(await verifyAs(data, mac, false)).toEqual([version]);
        expect(await verifyAs(digest, mac, true)).toEqual([version]);
        expect(await verifyAs(randomBytes(digest.length), mac, true)).toEqual([undefined]);
      }
    });

    test('gives the public key of each version of a key pair', async () => {
      const wanted = newKey('public', 'EC_SIGN_P256_SHA256');
      await token.createKey(wanted, signal);
      const { versions } = await token.createVersion(
        { ...newVersion('public', 2), algorithm: 'EC_SIGN_P256_SHA256' },
        signal,
      );

      const keys = await token.publicKeys(versions, signal);

      const details = keys.map((key) =>
        createPublicKey({ key: Buffer.from(key), format: 'der', type: 'spki' }),
      );
      expect(details.map((key) => key.asymmetricKeyDetails?.namedCurve)).toEqual([
        'prime256v1',
        'prime256v1',
      ]);
      expect(keys[0]).not.toEqual(keys[1]);
      expect(await token.publicKeys(versions, signal)).toEqual(keys);
    });

    test.each([
      ['ACTIVE', 'done', 'done'],
      ['DEACTIVATED', 'KEY_STATE_FORBIDS', 'done'],
      ['SUSPENDED', 'KEY_STATE_FORBIDS', 'KEY_STATE_FORBIDS'],
    ] as const)(
      'lets a key pair that is %s do what its state allows',
      async (state, sign, verify) => {
        const name = `pair-${state}`;
        const version = firstVersion(
          await token.createKey(newKey(name, 'EC_SIGN_P256_SHA256'), signal),
        );
        const data = Buffer.from('data');
        const mac = await signOne(token, version, data, signal);

        const key = await token.setVersionState(version, state, signal);

        expect(key).toEqual({
          name,
          versions: [{ ...version, state }],
          settings: DEFAULT_SETTINGS,
        });
        expect(await token.findKey(name, signal)).toEqual(key);
        for (let use = 0; use < 8; use++) {
          expect(await outcomeOf(signOne(token, version, data, signal))).toBe(sign);
          expect(await outcomeOf(verifyOne(token, [version], data, mac, signal))).toBe(verify);
        }
      },
    );

    test.each(LACKING)('makes no key for %s, which it lacks', async (algorithm) => {
      const reason = await reasonOf(
        token.createKey(newKey(`lack-${algorithm}`, algorithm), signal),
      );

      expect(reason).toBe('ALGORITHM_UNSUPPORTED');
      expect(await token.findKey(`lack-${algorithm}`, signal)).toBeUndefined();
    });

    test.each([0, 1, 64, 4_096, 1_048_576])('makes the right MAC of %i bytes', async (bytes) => {
      const value = randomBytes(32);
      await subject.writeKey(`adopted-${bytes}`, value);
      const version = firstVersion(await token.findKey(`adopted-${bytes}`, signal));
      const data = randomBytes(bytes);

      const mac = await signOne(token, version, data, signal);

      expect(mac.equals(hmac(value, data))).toBe(true);
      expect(await verifyOne(token, [version], data, mac, signal)).toEqual(version);
    });

    test('counts a key of another tool as version 1 with an id of its own', async () => {
      await subject.writeKey('adopted-id', randomBytes(32));

      const version = firstVersion(await token.findKey('adopted-id', signal));

      expect(version).toMatchObject({ version: 1, algorithm: 'HMAC_SHA256' });
      expect(version.createTimeMs).toBeUndefined();
      expect(version.id).toMatch(/^[0-9a-f]{32}$/);
    });

    test.each([0, 1, 31, 33, 64])(
      'answers a MAC of %i bytes with "not valid", and the next one rightly',
      async (bytes) => {
        const version = firstVersion(await token.createKey(newKey(`length-${bytes}`), signal));
        const data = Buffer.from('data');

        const verified = await verifyOne(token, [version], data, randomBytes(bytes), signal);

        expect(verified).toBeUndefined();
        const mac = await signOne(token, version, data, signal);
        expect(await verifyOne(token, [version], data, mac, signal)).toEqual(version);
      },
    );

    test('verifies against several versions in order and tells which one it was', async () => {
      const one = firstVersion(await token.createKey(newKey('several-1'), signal));
      const two = firstVersion(await token.createKey(newKey('several-2'), signal));
      const data = randomBytes(10);

      const mac = await signOne(token, two, data, signal);

      expect(await verifyOne(token, [one, two], data, mac, signal)).toEqual(two);
      expect(await verifyOne(token, [one], data, mac, signal)).toBeUndefined();
    });

    test.each([
      ['1 message', 1, 32],
      ['300 messages', 300, 100],
      ['1,024 messages of 4 MiB together', 1_024, 4_096],
    ])('signs a batch of %s, each MAC in its place', async (_, messages, bytes) => {
      const value = randomBytes(32);
      const name = `adopted-batch-${messages}`;
      await subject.writeKey(name, value);
      const version = firstVersion(await token.findKey(name, signal));
      const batch = Array.from({ length: messages }, () => randomBytes(bytes));

      const macs = await token.sign(version, batch, signal);

      expect(macs.map(hex)).toEqual(batch.map((data) => hex(hmac(value, data))));
      const signed = batch.map((data, index) => ({ data, mac: macs[index] ?? data }));
      const verified = await token.verify([version], signed, signal);
      expect(verified).toEqual(batch.map(() => version));
    });

    test('signs a batch of messages of every length, none too', async () => {
      const value = randomBytes(32);
      await subject.writeKey('adopted-lengths', value);
      const version = firstVersion(await token.findKey('adopted-lengths', signal));
      const batch = [0, 1, 70_000, 0, 64, 300_000].map((bytes) => randomBytes(bytes));

      const macs = await token.sign(version, batch, signal);

      expect(macs.map(hex)).toEqual(batch.map((data) => hex(hmac(value, data))));
    });

    test('verifies a batch of right and wrong MACs, each by itself', async () => {
      const version = firstVersion(await token.createKey(newKey('mixed'), signal));
      const messages = Array.from({ length: 300 }, (_, index) => Buffer.from(`message ${index}`));
      const macs = await token.sign(version, messages, signal);
      const isRight = (index: number) => index % 3 !== 1;
      const batch = messages.map((data, index) => ({
        data,
        mac: macs[isRight(index) ? index : index - 1] ?? data,
      }));

      const verified = await token.verify([version], batch, signal);

      expect(verified).toEqual(batch.map((_, index) => (isRight(index) ? version : undefined)));
    });

    test('verifies a batch with MACs of every length against several versions', async () => {
      const one = firstVersion(await token.createKey(newKey('lengths-1'), signal));
      const two = firstVersion(await token.createKey(newKey('lengths-2', 'HMAC_SHA512'), signal));
      const data = randomBytes(20);
      const ofOne = await signOne(token, one, data, signal);
      const ofTwo = await signOne(token, two, data, signal);
      const macs = [
        ofTwo,
        Buffer.alloc(0),
        ofOne,
        ofOne.subarray(1),
        ofTwo.subarray(0, 32),
        Buffer.concat([ofOne, ofOne]),
        Buffer.alloc(64),
        ofOne,
        randomBytes(200),
        ofTwo,
      ];
      const batch = macs.map((mac) => ({ data, mac }));

      const verified = await token.verify([one, two], batch, signal);

      expect(verified.map((version) => version?.key)).toEqual([
        ...['lengths-2', undefined, 'lengths-1', undefined, undefined],
        ...[undefined, undefined, 'lengths-1', undefined, 'lengths-2'],
      ]);
    });

    test('lists every key once, in byte order of names', async () => {
      await token.createKey(newKey('list-b'), signal);
      await token.createKey(newKey('list-a'), signal);
      await token.createKey(newKey('list-B'), signal);

      const names = (await token.listKeys(undefined, signal)).keys.map((key) => key.name);

      expect(names.filter((name) => name.startsWith('list-'))).toEqual([
        'list-B',
        'list-a',
        'list-b',
      ]);
      expect(names).toEqual([...new Set(names)].sort());
    });

    test('lists what has changed since a listing, or else everything', async () => {
      await token.createKey(newKey('since-old'), signal);
      const before = await token.listKeys(undefined, signal);
      const made = await token.createKey(newKey('since-new'), signal);

      const readAgain = ['since-old', 'since-never'];
      const after = await token.listKeys({ listing: before.id, readAgain }, signal);

      expect(before.isWhole).toBe(true);
      expect(before.gone).toEqual([]);
      const names = after.keys.map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(['since-new', 'since-old']));
      expect(names).not.toContain('since-never');
      expect(after.keys).toContainEqual(made);
      const known = new Set(before.keys.map(({ name }) => name));
      if (after.isWhole) expect(names).toEqual(expect.arrayContaining([...known]));
      else expect(names.filter((name) => known.has(name))).toEqual(['since-old']);
    });

    test('lists everything to who names a listing that it does not know', async () => {
      await token.createKey(newKey('since-unknown'), signal);
      const { keys } = await token.listKeys(undefined, signal);

      const known = { listing: 'never', readAgain: [] };
      const listed = await token.listKeys(known, signal);

      expect(listed).toMatchObject({ isWhole: true, keys, gone: [] });
    });

    test('lists to several at the same time', async () => {
      const { keys, id } = await token.listKeys(undefined, signal);
      const known = { listing: id, readAgain: [] };

      const lists = await Promise.all(
        [undefined, known, undefined].map((asked) => token.listKeys(asked, signal)),
      );

      for (const listed of lists) {
        if (listed.isWhole) expect(listed.keys).toEqual(keys);
        else expect(listed).toMatchObject({ keys: [], gone: [] });
      }
    });

    test('makes nothing when a creation with the same tag is repeated', async () => {
      const tag = randomBytes(6);
      const key = await token.createKey(newKey('repeated', 'HMAC_SHA256', tag), signal);

      const again = await token.createKey(newKey('repeated', 'HMAC_SHA256', tag), signal);

      expect(again).toEqual(key);
    });

    test('refuses a second key of the same name', async () => {
      const key = await token.createKey(newKey('taken'), signal);

      const reason = await reasonOf(token.createKey(newKey('taken'), signal));

      expect(reason).toBe('KEY_ALREADY_EXISTS');
      expect(await token.findKey('taken', signal)).toEqual(key);
    });

    test('tells what keeps it from making a key, and makes none', async () => {
      await token.createKey(newKey('there'), signal);
      const { keys } = await token.listKeys(undefined, signal);
      const check = (intent: Intent) => outcomeOf(token.check(intent, signal));
      const [algorithm, lacking] = ['HMAC_SHA256', LACKING[0]] as const;

      const outcomes = [
        await check({ use: 'make-key', algorithm, name: 'not-there' }),
        await check({ use: 'make-key', algorithm, name: 'there' }),
        await check({ use: 'make-key', algorithm: lacking, name: 'not-there' }),
        await check({ use: 'make-version', algorithm }),
        await check({ use: 'make-version', algorithm: lacking }),
        await check({ use: 'sign', algorithm }),
        await check({ use: 'sign', algorithm: lacking }),
      ];

      expect(outcomes).toEqual([
        ...['done', 'KEY_ALREADY_EXISTS', 'ALGORITHM_UNSUPPORTED'],
        ...['done', 'ALGORITHM_UNSUPPORTED'],
        ...['done', 'ALGORITHM_UNSUPPORTED'],
      ]);
      expect((await token.listKeys(undefined, signal)).keys).toEqual(keys);
    });

    test('finds nothing against an algorithm that it has', async () => {
      for (const algorithm of ABLE) {
        for (const use of ['sign', 'make-version'] as const) {
          expect(await outcomeOf(token.check({ use, algorithm }, signal)), algorithm).toBe('done');
        }
      }
    });

    test('makes a further version that cannot leave the token either', async () => {
      const key = await token.createKey(newKey('versions'), signal);
      const wanted = newVersion('versions', 2);

      const grown = await token.createVersion(wanted, signal);

      const [first] = key.versions;
      expect(grown).toEqual({
        name: 'versions',
        versions: [
          {
            ...first,
            id: hex(wanted.id),
            version: 2,
            createTimeMs: expect.any(Number),
          },
          first,
        ],
        settings: DEFAULT_SETTINGS,
      });
      expect(await token.findKey('versions', signal)).toEqual(grown);
    });

    test('makes a version whose MACs no other version of its key makes', async () => {
      await token.createKey(newKey('distinct'), signal);
      const { versions } = await token.createVersion(newVersion('distinct', 2), signal);
      const [two, one] = versions as [KeyVersion, KeyVersion];
      const data = randomBytes(20);

      const mac = await signOne(token, two, data, signal);

      expect(await verifyOne(token, [two, one], data, mac, signal)).toEqual(two);
      expect(await verifyOne(token, [one], data, mac, signal)).toBeUndefined();
    });

    test('makes no second object for a version that is there', async () => {
      await token.createKey(newKey('claimed'), signal);
      const key = await token.createVersion(newVersion('claimed', 2), signal);

      expect(await token.createVersion(newVersion('claimed', 2), signal)).toEqual(key);
      expect(await token.findKey('claimed', signal)).toEqual(key);
    });

    test.each([
      ['ACTIVE', 'done', 'done'],
      ['DEACTIVATED', 'KEY_STATE_FORBIDS', 'done'],
      ['SUSPENDED', 'KEY_STATE_FORBIDS', 'KEY_STATE_FORBIDS'],
    ] as const)(
      'lets a version that is %s do what its state allows',
      async (state, sign, verify) => {
        const name = `state-${state}`;
        const version = firstVersion(await token.createKey(newKey(name), signal));
        const data = Buffer.from('data');
        const mac = await signOne(token, version, data, signal);

        const key = await token.setVersionState(version, state, signal);

        expect(key).toEqual({
          name,
          versions: [{ ...version, state }],
          settings: DEFAULT_SETTINGS,
        });
        expect(await token.findKey(name, signal)).toEqual(key);
        for (let use = 0; use < 8; use++) {
          expect(await outcomeOf(signOne(token, version, data, signal))).toBe(sign);
          expect(await outcomeOf(verifyOne(token, [version], data, mac, signal))).toBe(verify);
        }
        expect(await outcomeOf(verifyOne(token, [version], data, Buffer.alloc(32), signal))).toBe(
          verify,
        );
      },
    );

    test('lets a version sign again that was suspended, with the same key', async () => {
      const version = firstVersion(await token.createKey(newKey('restored'), signal));
      const data = Buffer.from('data');
      const mac = await signOne(token, version, data, signal);
      await token.setVersionState(version, 'SUSPENDED', signal);

      await token.setVersionState(version, 'ACTIVE', signal);

      for (let use = 0; use < 8; use++) {
        expect(await signOne(token, version, data, signal)).toEqual(mac);
      }
    });

    test('gives a version the state that it has already', async () => {
      const version = firstVersion(await token.createKey(newKey('again'), signal));
      const key = await token.setVersionState(version, 'SUSPENDED', signal);

      expect(await token.setVersionState(version, 'SUSPENDED', signal)).toEqual(key);
    });

    test('changes one version alone', async () => {
      const one = firstVersion(await token.createKey(newKey('alone'), signal));
      await token.createVersion(newVersion('alone', 2), signal);

      const { versions } = await token.setVersionState(one, 'DEACTIVATED', signal);

      expect(versions.map(({ version, state }) => [version, state])).toEqual([
        [2, 'ACTIVE'],
        [1, 'DEACTIVATED'],
      ]);
    });

    test('changes no version that is not there', async () => {
      const version = firstVersion(await token.createKey(newKey('unchanged'), signal));
      const absent = { ...version, id: 'f'.repeat(32) };

      expect(await reasonOf(token.setVersionState(absent, 'SUSPENDED', signal))).toBe(
        'KEY_NOT_FOUND',
      );
      expect((await token.findKey('unchanged', signal))?.versions).toEqual([version]);
    });

    test('tells two keys of other tools apart that share one id', async () => {
      const id = randomBytes(16).toString('hex');
      const values = new Map([
        ['adopted-twin-a', randomBytes(32)],
        ['adopted-twin-b', randomBytes(32)],
      ]);
      for (const [twin, value] of values) await subject.writeKey(twin, value, id);
      const data = randomBytes(32);

      for (let round = 0; round < 4; round++) {
        for (const [twin, value] of values) {
          const version = firstVersion(await token.findKey(twin, signal));
          const mac = await signOne(token, version, data, signal);
          expect(mac).toEqual(hmac(value, data));
        }
      }
    });

    testAgreement(() => token);
    testRecords(() => token);
    testDestruction(() => token);

    test('says that a version which is not on the token cannot sign', async () => {
      const version = firstVersion(await token.createKey(newKey('present'), signal));
      const absent = { ...version, key: 'absent', id: 'f'.repeat(32) };

      expect(await reasonOf(signOne(token, absent, Buffer.from('x'), signal))).toBe(
        'KEY_NOT_FOUND',
      );
    });

    test('does nothing for a caller who has gone', async () => {
      const reason = new SigildError('CANCELLED', 'gone');

      const call = token.createKey(newKey('unwanted'), AbortSignal.abort(reason));

      await expect(call).rejects.toBe(reason);
      expect(await token.findKey('unwanted', signal)).toBeUndefined();
    });

    test('tells what it is, what it can do and who uses it, and keeps its keys', async () => {
      const { keys: before } = await token.listKeys(undefined, signal);

      const info = await token.info(signal);

      expect(info).toMatchObject({
        label: expect.any(String),
        serial: expect.stringMatching(/^[0-9a-f]{16}$/),
        firmwareVersion: expect.stringMatching(/^\d+\.\d+$/),
      });
      expect(info.algorithms.map(({ algorithm }) => algorithm)).toEqual(ALGORITHM_NAMES);
      const lacking = info.algorithms.filter(({ lacks }) => lacks !== undefined);
      expect(lacking.map(({ algorithm }) => algorithm)).toEqual(LACKING);
      expect(info.attributes.find(({ attribute }) => attribute === 'CKA_SIGN')?.enforced).toBe(
        true,
      );
      expect(info.records).toEqual({ kept: true, found: expect.any(String) });
      expect(info.hosts.length).toBeGreaterThan(0);
      for (const { sessions, warmth } of info.hosts) {
        expect(sessions).toBeGreaterThan(0);
        expect(warmth).toEqual({ warm: expect.any(Boolean), why: expect.any(String) });
      }
      expect((await token.listKeys(undefined, signal)).keys).toEqual(before);
    });

    describeImports(() => token);

    test('passes its probe', async () => {
      await expect(token.probe(signal)).resolves.toBeUndefined();
    });
  });
}
