import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { failureOfCall } from '../../src/client/sigild-error.ts';
import { SigildError } from '../../src/domain/errors.ts';
import { toStatus } from '../../src/rpc/status.ts';

/** A status that comes from a gRPC library or a proxy, not from a daemon. */
function foreign(code: status) {
  return { code, details: 'somebody else says so', metadata: new Metadata() };
}

describe('a failure without details of the daemon', () => {
  test.each([
    ['a connection that broke', status.UNAVAILABLE],
    ['a stream that a proxy reset', status.INTERNAL],
  ])('is worth another try for %s', (_, code) => {
    expect(failureOfCall(foreign(code)).isTransient).toBe(true);
  });

  test.each([
    status.UNIMPLEMENTED,
    status.UNAUTHENTICATED,
    status.CANCELLED,
    status.DEADLINE_EXCEEDED,
  ])('is final with the code %i', (code) => {
    expect(failureOfCall(foreign(code)).isTransient).toBe(false);
  });
});

test.each([
  ['TOKEN_UNAVAILABLE', true],
  ['SHUTTING_DOWN', true],
  ['INTERNAL', false],
  ['KEY_NOT_FOUND', false],
] as const)('whether another try helps is what the daemon says: %s', (reason, isTransient) => {
  const failure = failureOfCall(toStatus(new SigildError(reason, 'a failure')));

  expect(failure).toMatchObject({ isTransient, error: { reason } });
});
