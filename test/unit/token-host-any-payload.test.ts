import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ERROR_REASONS, SigildError } from '../../src/domain/errors.ts';
import {
  decodeSignAgreed,
  decodeVerifyAgreed,
  encodeSignAgreed,
  encodeVerifyAgreed,
} from '../../src/token-host/agreed-frames.ts';
import { FrameReader } from '../../src/token-host/frames.ts';
import {
  booleanAnswer,
  creationAnswer,
  importKeyAnswer,
  keyAnswer,
  listingAnswer,
  recordsAnswer,
} from '../../src/token-host/host-answers.ts';
import { hostMessage } from '../../src/token-host/host-messages.ts';
import {
  decodeFingerprints,
  decodeIndexes,
  decodeResult,
  decodeSign,
  decodeVerify,
  encodeAnswer,
  encodeSign,
  encodeVerify,
} from '../../src/token-host/mac-frames.ts';
import {
  decodeFailure,
  decodeNewKey,
  decodePublicKeys,
  encodeFailure,
  encodeJson,
} from '../../src/token-host/protocol.ts';
import { decodeStreamPiece } from '../../src/token-host/stream-frames.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated, mutatedText } from '../support/fuzz.ts';
import { keyOf, keyVersion, versionRecord } from '../support/key-version.ts';

const ref = { key: 'webhooks', id: 'ab'.repeat(16) };
const [data, mac] = [Buffer.from('a message'), Buffer.alloc(32, 7)];

function payloadOf(frame: Buffer): Buffer {
  const [{ payload } = { payload: Buffer.alloc(0) }] = [...new FrameReader().push(frame)];
  return payload;
}

const KEY = keyOf(keyVersion({ version: 2 }), keyVersion());
const FAILURE = new SigildError('FIELD_INVALID', 'key: is wrong', {
  violations: [{ field: 'key', description: 'is wrong' }],
});

const CORPUS: [Buffer][] = corpus('host-payloads').map(({ bytes }) => [bytes]);

const PAYLOADS = [
  // Without those that are there for their length.
  ...CORPUS.flat().filter(({ byteLength }) => byteLength < 1_000),
  payloadOf(encodeSign(ref, [data, Buffer.alloc(0), data])),
  payloadOf(encodeVerify([ref, ref], [{ data, mac }])),
  payloadOf(encodeSignAgreed(ref, Buffer.alloc(65, 4), [data])),
  payloadOf(encodeVerifyAgreed([ref], Buffer.alloc(65, 4), [{ data, mac }])),
  payloadOf(encodeAnswer(mac, [{ id: ref.id, mac: Buffer.alloc(16, 1) }])),
  payloadOf(encodeFailure(1, FAILURE)),
];

const JSON_TEXTS = [
  KEY,
  { key: KEY, made: true },
  { id: 'one', isWhole: true, isLast: true, keys: [KEY], gone: ['other'] },
  [{ record: versionRecord(), stamp: { revision: 1, nonce: '0'.repeat(16) } }],
  { id: 'ab', publicKey: 'AAAA', wrapping: 'RSA_OAEP_SHA1' },
  { keys: ['AAAA'], fingerprints: [{ id: ref.id, mac: 'AAAA' }] },
  true,
].map((value) => JSON.stringify(value));

const payload = mutated(fc.constantFrom(...PAYLOADS));

/** JSON of the right kind, with any value in any place, or with changed bytes. */
const jsonPayload = fc.oneof(
  mutatedText(fc.constantFrom(...JSON_TEXTS)).map((text) => Buffer.from(text)),
  fc
    .tuple(fc.constantFrom(...JSON_TEXTS), fc.nat(), fc.jsonValue({ maxDepth: 1 }))
    .map(([text, place, value]) => Buffer.from(JSON.stringify(replaced(text, place, value)))),
);

/** The value with another one in the place of that number. */
function replaced(text: string, place: number, value: unknown): unknown {
  const count = countOf(text);
  let index = 0;
  return JSON.parse(text, (_, old) => {
    index += 1;
    return index - 1 === place % count ? value : old;
  });
}

function countOf(text: string): number {
  let count = 0;
  JSON.parse(text, (_, value) => {
    count += 1;
    return value;
  });
  return count;
}

/** What it gives, or undefined when it refuses the payload as each of them may. */
function tryTo<Result>(decode: (payload: Buffer) => Result, bytes: Buffer): Result | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return undefined;
  }
}

const CODECS: readonly [string, (payload: Buffer) => Buffer | undefined][] = [
  ['Sign', (bytes) => again(tryTo(decodeSign, bytes), ({ ref, batch }) => encodeSign(ref, batch))],
  [
    'Verify',
    (bytes) => again(tryTo(decodeVerify, bytes), ({ refs, batch }) => encodeVerify(refs, batch)),
  ],
  [
    'Sign with an agreed key',
    (bytes) =>
      again(tryTo(decodeSignAgreed, bytes), ({ ref, peer, batch }) =>
        encodeSignAgreed(ref, peer, batch),
      ),
  ],
  [
    'an answer',
    (bytes) =>
      again(tryTo(decodeFingerprints, bytes), (fingerprints) =>
        encodeAnswer(decodeResult(bytes), fingerprints),
      ),
  ],
];

function again<Result>(
  decoded: Result | undefined,
  encode: (result: Result) => Buffer,
): Buffer | undefined {
  return decoded && payloadOf(encode(decoded));
}

describe.each(CODECS)('the payload of %s', (_, recode) => {
  test('is read whole or not at all, whatever it is', { timeout: FUZZ_TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(payload, (bytes) => {
        const recoded = recode(bytes);

        if (recoded) expect(recoded.equals(bytes)).toBe(true);
      }),
      { ...inputs(500), examples: CORPUS },
    );
  });
});

const READERS: readonly [string, (payload: Buffer) => unknown][] = [
  ['a key', keyAnswer],
  ['a creation', creationAnswer],
  ['a listing', listingAnswer],
  ['records', recordsAnswer],
  ['an import key', importKeyAnswer],
  ['a yes', booleanAnswer],
  ['public keys', decodePublicKeys],
  ['a new key', decodeNewKey],
  ['a piece of a stream', decodeStreamPiece],
  ['indexes', decodeIndexes],
  ['a verification with an agreed key', decodeVerifyAgreed],
];

describe.each(READERS)('what is to be %s', (_, read) => {
  test('is read or refused, whatever it is', { timeout: FUZZ_TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(fc.oneof(payload, jsonPayload), (bytes) => {
        tryTo(read, bytes);
      }),
      { ...inputs(200), examples: CORPUS },
    );
  });
});

test('a key that was read has all that the front looks at', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(jsonPayload, (bytes) => {
      const key = tryTo(keyAnswer, bytes);
      if (!key) return;

      expect(key.versions.length).toBeGreaterThan(0);
      for (const { id, algorithm, state, attributes } of key.versions) {
        expect([typeof id, typeof algorithm, typeof state]).toEqual(['string', 'string', 'string']);
        expect(attributes).toBeInstanceOf(Object);
      }
      expect(typeof key.settings.destroyable).toBe('boolean');
    }),
    inputs(500),
  );
});

test('a failure that was read can be sent to a caller', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const text = payloadOf(encodeFailure(1, FAILURE)).toString();
  const failure = fc.oneof(
    mutatedText(fc.constant(text)),
    fc
      .tuple(fc.nat(), fc.jsonValue({ maxDepth: 1 }))
      .map(([place, value]) => JSON.stringify(replaced(text, place, value))),
  );
  fc.assert(
    fc.property(failure, (json) => {
      const error = tryTo(decodeFailure, Buffer.from(json));
      if (!error) return;

      expect(ERROR_REASONS).toContain(error.reason);
      expect(typeof error.message).toBe('string');
      for (const { field, description } of error.violations) {
        expect([typeof field, typeof description]).toEqual(['string', 'string']);
      }
    }),
    inputs(500),
  );
});

test('what a host says at its start is a message or none', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const warmth = { warm: true, why: 'faster' };
  const canary = { id: 'a1', mac: 'b2' };
  const texts = [
    { type: 'ready', serial: 'one', canary, lanes: [0, 2], warmth, shortage: 'no more' },
    { type: 'failed', kind: 'wrong-pin', message: 'refused' },
    { type: 'defect', stack: 'Error' },
  ].map((message) => JSON.stringify(message));
  const said = fc
    .tuple(fc.constantFrom(...texts), fc.nat(), fc.jsonValue({ maxDepth: 1 }))
    .map(([text, place, value]) => replaced(text, place, value));
  fc.assert(
    fc.property(said, (value) => {
      const message = hostMessage(value, 3);

      if (message?.type !== 'ready') return;
      expect(message.lanes.length).toBeGreaterThan(0);
      for (const lane of message.lanes) expect([0, 1, 2]).toContain(lane);
    }),
    inputs(500),
  );
  for (const text of texts) expect(hostMessage(JSON.parse(text), 3)).toEqual(JSON.parse(text));
});

test('a frame of any bytes is cut into frames or refused', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const frames = fc
    .array(fc.constantFrom(...PAYLOADS.map((bytes) => encodeJson(0, bytes.toString('hex')))))
    .map((list) => Buffer.concat(list));
  fc.assert(
    fc.property(mutated(frames), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
      const reader = new FrameReader();
      let read = 0;
      tryTo(() => {
        for (let at = 0; at < bytes.length; at += size) {
          for (const frame of reader.push(bytes.subarray(at, at + size))) {
            read += 13 + frame.payload.byteLength;
          }
        }
      }, bytes);

      expect(read).toBeLessThanOrEqual(bytes.byteLength);
    }),
    inputs(300),
  );
});
