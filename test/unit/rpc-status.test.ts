import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import {
  ERROR_REASONS,
  type ErrorReason,
  fieldInvalid,
  SigildError,
} from '../../src/domain/errors.ts';
import { decodeErrorDetails, type ErrorDetails } from '../../src/rpc/error-details.ts';
import { googleRpc } from '../../src/rpc/proto.ts';
import { toStatus } from '../../src/rpc/status.ts';

function detailsOf(error: SigildError): ErrorDetails | undefined {
  const [bytes] = toStatus(error).metadata.get('grpc-status-details-bin');
  return decodeErrorDetails(bytes as Buffer);
}

test('an error keeps its message and gets its code, twice', () => {
  const { code, details, metadata } = toStatus(new SigildError('KEY_NOT_FOUND', 'no such key'));

  const [bytes] = metadata.get('grpc-status-details-bin');
  expect({ code, details }).toEqual({ code: status.NOT_FOUND, details: 'no such key' });
  expect(googleRpc.Status.deserialize(bytes as Buffer)).toMatchObject({
    code: status.NOT_FOUND,
    message: 'no such key',
    details: [{ type_url: 'type.googleapis.com/google.rpc.ErrorInfo' }],
  });
});

test.each(ERROR_REASONS)('the reason %s reaches the caller', (reason) => {
  const error = new SigildError(reason, 'message');

  expect(detailsOf(error)).toMatchObject({ reason, violations: [] });
  expect(toStatus(error).code).toBeGreaterThan(status.OK);
});

test('a wrong field is named', () => {
  const error = fieldInvalid('page_size', 'must be 0 to 1000');

  expect(detailsOf(error)?.violations).toEqual([
    { field: 'page_size', description: 'must be 0 to 1000' },
  ]);
});

test('a pause that the error asks for is passed on', () => {
  const error = new SigildError('TOKEN_UNAVAILABLE', 'gone', { retryAfterMs: 1_250 });

  expect(detailsOf(error)?.retryAfterMs).toBe(1_250);
});

test.each<ErrorReason>([
  'POOL_SATURATED',
  'CLIENT_SATURATED',
  'TOKEN_UNAVAILABLE',
  'SHUTTING_DOWN',
])('%s always says when to come back', (reason) => {
  expect(detailsOf(new SigildError(reason, 'later'))?.retryAfterMs).toBeGreaterThan(0);
});

test('an error that waiting does not cure says nothing of waiting', () => {
  expect(detailsOf(new SigildError('KEY_NOT_FOUND', 'no'))?.retryAfterMs).toBeUndefined();
});

test('what is behind an error stays inside', () => {
  const cause = new Error('at slot 3 with PIN 1234');
  const { metadata, details } = toStatus(new SigildError('INTERNAL', 'a defect', { cause }));

  const [bytes] = metadata.get('grpc-status-details-bin');

  expect(`${details} ${String(bytes)}`).not.toMatch(/slot|1234/);
});

test("the details of another domain are not taken for sigild's", () => {
  const { ErrorInfo, Status } = googleRpc;
  const info = ErrorInfo.serialize({ domain: 'example.com', reason: 'KEY_NOT_FOUND' });
  const any = { type_url: 'type.googleapis.com/google.rpc.ErrorInfo', value: info };

  const bytes = Status.serialize({ code: status.NOT_FOUND, details: [any] });

  expect(decodeErrorDetails(bytes)).toBeUndefined();
});
