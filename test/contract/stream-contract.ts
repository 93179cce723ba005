import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Algorithm, MAC_ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import type { UsageState } from '../../src/domain/key-state.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { Token } from '../../src/service/ports.ts';
import type { TokenStream } from '../../src/service/token-values.ts';
import { signOne } from '../support/one-message.ts';
import { LACKING, type TokenUnderTest } from './token-contract.ts';

const ABLE = MAC_ALGORITHM_NAMES.filter((algorithm) => !LACKING.some((lack) => lack === algorithm));

const signal = new AbortController().signal;

/** What every implementation of the Token port does alike with messages that come in pieces. */
export function describeStreams(name: string, start: () => Promise<TokenUnderTest>): void {
  describe(`streams of ${name}`, () => {
    let subject: TokenUnderTest;
    let token: Token;

    beforeAll(async () => {
      subject = await start();
      token = subject.token;
    });

    afterAll(async () => subject?.close());

    async function newVersion(
      key: string,
      version = 1,
      algorithm: Algorithm = 'HMAC_SHA256',
    ): Promise<KeyVersion> {
      const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
      const wanted = { name: key, algorithm, id };
      const made =
        version === 1
          ? await token.createKey(wanted, signal)
          : await token.createVersion(wanted, signal);
      return made.versions[0] as KeyVersion;
    }

    async function signInPieces(version: KeyVersion, pieces: readonly Buffer[]): Promise<Buffer> {
      const stream = await token.signStream(version, signal);
      return Buffer.from(await passOn(stream, pieces));
    }

    async function verifyInPieces(
      versions: readonly KeyVersion[],
      mac: Buffer,
      pieces: readonly Buffer[],
    ): Promise<KeyVersion | undefined> {
      return passOn(await token.verifyStream(versions, mac, signal), pieces);
    }

    const setState = (version: KeyVersion, state: UsageState) =>
      token.setVersionState(version, state, signal);

    test.each([
      ['no piece', []],
      ['one empty piece', [0]],
      ['one byte', [1]],
      ['pieces with empty ones among them', [0, 3, 0, 64, 0]],
      ['pieces around a block', [63, 64, 65, 128]],
      ['a piece that is longer than a frame', [300_001, 1]],
    ])('makes the right MAC of %s', async (title, lengths) => {
      const value = randomBytes(32);
      const name = `adopted-${title.replaceAll(' ', '-')}`;
      await subject.writeKey(name, value);
      const [version] = (await token.findKey(name, signal))?.versions ?? [];
      const pieces = lengths.map((bytes) => randomBytes(bytes));
      const expected = createHmac('sha256', value).update(Buffer.concat(pieces)).digest();

      const mac = await signInPieces(version as KeyVersion, pieces);

      expect(mac.equals(expected)).toBe(true);
      expect(await verifyInPieces([version as KeyVersion], mac, pieces)).toEqual(version);
    });

    test.each(ABLE)('makes the same MAC as of a whole message with %s', async (algorithm) => {
      const version = await newVersion(`pieces-${algorithm}`, 1, algorithm);
      const pieces = [randomBytes(1_000), randomBytes(24)];

      const mac = await signInPieces(version, pieces);

      const whole = await signOne(token, version, Buffer.concat(pieces), signal);
      expect(mac.equals(whole)).toBe(true);
      expect(await verifyInPieces([version], mac, pieces)).toEqual(version);
      expect(await verifyInPieces([version], mac, [randomBytes(24)])).toBeUndefined();
    });

    test('finds the version whose MAC it is, also of one that signs no more', async () => {
      const first = await newVersion('found');
      const second = await newVersion('found', 2);
      const third = await newVersion('found', 3);
      const pieces = [randomBytes(100), randomBytes(100)];
      const mac = await signInPieces(first, pieces);
      await setState(first, 'DEACTIVATED');

      const found = await verifyInPieces([third, second, first], mac, pieces);

      expect(found?.version).toBe(1);
      expect(await verifyInPieces([third, second], mac, pieces)).toBeUndefined();
    });

    test('keeps streams apart that are open at the same time', async () => {
      const versions = await Promise.all(['one', 'two', 'three'].map((key) => newVersion(key)));
      const pieces = [versions, versions].map((each) => each.map(() => randomBytes(10)));
      const streams = await Promise.all(
        versions.map((version) => token.signStream(version, signal)),
      );

      for (const [index, stream] of streams.entries()) {
        await stream.update(pieces[0]?.[index] as Buffer);
      }
      await signOne(token, versions[0] as KeyVersion, randomBytes(10), signal);
      for (const [index, stream] of streams.entries()) {
        await stream.update(pieces[1]?.[index] as Buffer);
      }
      const macs = await Promise.all(streams.map((stream) => stream.finish()));

      const expected = versions.map((version, index) => {
        const data = Buffer.concat(pieces.map((round) => round[index] as Buffer));
        return signOne(token, version, data, signal);
      });
      expect(macs.map(hex)).toEqual((await Promise.all(expected)).map(hex));
    });

    test('lets go of a stream that is abandoned, however often', async () => {
      const version = await newVersion('abandoned');
      const stream = await token.signStream(version, signal);
      await stream.update(randomBytes(10));

      stream.abandon();
      stream.abandon();

      await expect(signInPieces(version, [randomBytes(10)])).resolves.toHaveLength(32);
    });

    test.each(['SUSPENDED', 'DEACTIVATED'] as const)(
      'signs nothing with a version that became %s after the stream had begun',
      async (state) => {
        const version = await newVersion(`signs-${state}`);
        const stream = await token.signStream(version, signal);
        await stream.update(randomBytes(10));

        await setState(version, state);

        expect(await reasonOf(stream.finish())).toBe('KEY_STATE_FORBIDS');
        stream.abandon();
      },
    );

    test('begins nothing with a version whose state forbids it', async () => {
      const version = await newVersion('forbidden');
      await setState(version, 'SUSPENDED');

      expect(await reasonOf(token.signStream(version, signal))).toBe('KEY_STATE_FORBIDS');
      expect(await reasonOf(token.verifyStream([version], randomBytes(32), signal))).toBe(
        'KEY_STATE_FORBIDS',
      );
    });

    test('verifies on with versions that still may, and not with the others', async () => {
      const first = await newVersion('loses');
      const second = await newVersion('loses', 2);
      const piece = randomBytes(10);
      const macs = [await signInPieces(first, [piece]), await signInPieces(second, [piece])];
      const streams = await Promise.all(
        macs.map((mac) => token.verifyStream([second, first], mac, signal)),
      );
      for (const stream of streams) await stream.update(piece);

      await setState(first, 'SUSPENDED');
      await setState(second, 'DEACTIVATED');

      const [ofFirst, ofSecond] = await Promise.all(streams.map((stream) => stream.finish()));
      expect(ofFirst).toBeUndefined();
      expect(ofSecond?.version).toBe(2);
    });

    test('ends a verification when no version is left that may', async () => {
      const version = await newVersion('none-left');
      const mac = await signInPieces(version, []);
      const stream = await token.verifyStream([version], mac, signal);

      await setState(version, 'SUSPENDED');

      expect(await reasonOf(stream.finish())).toBe('KEY_STATE_FORBIDS');
      stream.abandon();
    });

    test('does not find a key that is gone', async () => {
      const gone = { ...(await newVersion('there')), key: 'gone', id: '0'.repeat(32) };

      expect(await reasonOf(token.signStream(gone, signal))).toBe('KEY_NOT_FOUND');
    });

    test('ends with its signal', async () => {
      const version = await newVersion('aborted');
      const caller = new AbortController();
      const stream = await token.signStream(version, caller.signal);

      caller.abort(new SigildError('CANCELLED', 'gone'));

      expect(await reasonOf(stream.finish())).toBe('CANCELLED');
      stream.abandon();
      expect(await reasonOf(token.signStream(version, caller.signal))).toBe('CANCELLED');
    });
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

async function passOn<Result>(
  stream: TokenStream<Result>,
  pieces: readonly Buffer[],
): Promise<Result> {
  for (const piece of pieces) await stream.update(piece);
  return stream.finish();
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (failure: unknown) => failure,
  );
  if (error instanceof SigildError) return error.reason;
  throw error;
}
