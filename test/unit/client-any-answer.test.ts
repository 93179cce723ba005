import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resultsOf } from '../../src/client/answers.ts';
import { backoffMs } from '../../src/client/backoff.ts';
import { decodeAnswer } from '../../src/client/frame-codec.ts';
import { decodeKey } from '../../src/client/key-decoding.ts';
import { decodeJwks, decodePublicKey } from '../../src/client/public-keys.ts';
import { failureOfFrame, SigildError } from '../../src/client/sigild-error.ts';
import { SigildError as DaemonError } from '../../src/domain/errors.ts';
import type { PipelineResponse__Output } from '../../src/generated/sigild/v1/PipelineResponse.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { toRpcStatus } from '../../src/rpc/status.ts';
import { FUZZ_TIMEOUT_MS, inputs, mutated, mutatedText } from '../support/fuzz.ts';

const refusal = new DaemonError('POOL_SATURATED', 'try again later', {
  retryAfterMs: 1_500,
  violations: [{ field: 'key', description: 'is wrong' }],
});

const ANSWERS = [
  v1.PipelineResponse.serialize({
    correlationId: 1,
    sign: { signatures: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)], version: 1, versionId: 'ab' },
  }),
  v1.PipelineResponse.serialize({ correlationId: 2, verify: { versions: [1, 0] } }),
  v1.PipelineResponse.serialize({ correlationId: 3, error: toRpcStatus(refusal) }),
];

const KEY = v1.CreateKeyResponse.serialize({
  key: {
    ...{ name: 'shop', algorithm: 'HMAC_SHA256', primaryVersion: 1, destroyable: true },
    rotationPeriod: { seconds: 86_400 },
    versions: [
      { id: 'ab'.repeat(16), version: 1, state: 'ACTIVE', createTime: { seconds: 1_700_000_000 } },
    ],
  },
});

const PUBLIC_KEY = v1.GetPublicKeyResponse.serialize({
  publicKey: { key: 'shop', version: 1, pem: 'PEM', der: Buffer.alloc(91), jwk: '{"kty":"EC"}' },
});

function expectAllOrNothing(answer: PipelineResponse__Output): void {
  for (const operation of ['sign', 'verify'] as const) {
    const target = { id: 'target', operation, key: 'shop', version: undefined };
    expect([2, undefined]).toContain(resultsOf(answer, target, 2)?.length);
  }
  if (!answer.error) return;
  const { error } = failureOfFrame(answer.error);
  expect(error).toBeInstanceOf(SigildError);
  expect(typeof error.reason).toBe('string');
}

/** Calls a function with what protobuf lets through. */
function withMessage<Message>(read: () => Message, use: (message: Message) => void): void {
  let message: Message;
  try {
    message = read();
  } catch {
    // gRPC answers the call with INTERNAL.
    return;
  }
  use(message);
}

describe('whatever a daemon answers', () => {
  test('a frame has results for all of its items, a failure, or neither', {
    timeout: FUZZ_TIMEOUT_MS,
  }, () => {
    fc.assert(
      fc.property(mutated(fc.constantFrom(...ANSWERS)), (bytes) => {
        withMessage(() => decodeAnswer(bytes), expectAllOrNothing);
      }),
      inputs(1_000),
    );
  });

  test('a key is one, or the answer is an error', { timeout: FUZZ_TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(mutated(fc.constant(KEY)), (bytes) => {
        withMessage(
          () => v1.CreateKeyResponse.deserialize(bytes),
          ({ key }) => expectOrSigildError(() => decodeKey(key)),
        );
      }),
      inputs(500),
    );
  });

  test('a public key is one, or the answer is an error', { timeout: FUZZ_TIMEOUT_MS }, () => {
    const json = mutatedText(fc.constant('{"keys":[{"kty":"EC"}]}'));
    fc.assert(
      fc.property(mutated(fc.constant(PUBLIC_KEY)), json, (bytes, text) => {
        withMessage(
          () => v1.GetPublicKeyResponse.deserialize(bytes),
          ({ publicKey }) => expectOrSigildError(() => decodePublicKey(publicKey)),
        );
        expectOrSigildError(() => decodeJwks(text));
      }),
      inputs(500),
    );
  });
});

test('details of an error that are none are left out', () => {
  const typeUrl = 'type.googleapis.com/google.rpc.ErrorInfo';
  const details = [{ type_url: typeUrl, value: Buffer.from([0xff]) }];
  const { error } = failureOfFrame({ code: 14, message: 'gone', details });

  expect(error).toMatchObject({ reason: 'UNAVAILABLE', message: 'gone' });
});

test.each([Number.MAX_VALUE, 2 ** 40])('no daemon makes a client wait %d ms', (retryAfterMs) => {
  expect(backoffMs(1, retryAfterMs)).toBeLessThan(100_000);
});

function expectOrSigildError(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    expect(error).toBeInstanceOf(SigildError);
  }
}
