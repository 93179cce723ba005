import { connectivityState, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { daemonFailure } from '../../src/admin/daemon-failure.ts';
import { fieldInvalid, SigildError } from '../../src/domain/errors.ts';
import { toStatus } from '../../src/rpc/status.ts';

const ADDRESS = 'unix:/run/sigild/sigild.sock';

test('an error of the daemon keeps its reason, its message and its violations', () => {
  const failure = daemonFailure(answer(fieldInvalid('key', 'is no name')), ADDRESS, channel());

  expect(failure).toMatchObject({
    reason: 'FIELD_INVALID',
    message: 'key: is no name',
    violations: [{ field: 'key', description: 'is no name' }],
  });
});

test('an error of the daemon keeps the pause it asks for', () => {
  const error = new SigildError('POOL_SATURATED', 'too many wait', { retryAfterMs: 1_250 });

  const failure = daemonFailure(answer(error), ADDRESS, channel());

  expect(failure).toMatchObject({ reason: 'POOL_SATURATED', retryAfterMs: 1_250 });
});

test.each([
  ['a refused connection', status.UNAVAILABLE, connectivityState.TRANSIENT_FAILURE],
  ['a connection that breaks', status.UNAVAILABLE, connectivityState.READY],
  [
    'a peer that does not answer the handshake',
    status.DEADLINE_EXCEEDED,
    connectivityState.CONNECTING,
  ],
])('%s is a daemon that cannot be reached', (_, code, state) => {
  const failure = daemonFailure(serviceError(code, 'gone'), ADDRESS, channel(state));

  expect(failure).toMatchObject({
    reason: 'DAEMON_UNREACHABLE',
    message: `the daemon at ${ADDRESS} cannot be reached: gone`,
  });
});

test.each([
  [status.UNIMPLEMENTED, 'UNIMPLEMENTED'],
  [99 as status, 'UNKNOWN'],
])('code %i of a connected server that is no sigild is the reason %s', (code, reason) => {
  const failure = daemonFailure(serviceError(code, 'no'), ADDRESS, channel());

  expect(failure).toMatchObject({ reason, message: 'no' });
});

test('a daemon that is connected and does not answer is told from one that is not there', () => {
  const error = serviceError(status.DEADLINE_EXCEEDED, 'gone');

  expect(daemonFailure(error, ADDRESS, channel())).toMatchObject({
    reason: 'DEADLINE_EXCEEDED',
    message: `the daemon at ${ADDRESS} is there, but has not answered in time`,
  });
});

test('shows of a connection that was not made why, in few words', () => {
  const details =
    'No connection established. Last error: Error: connect ENOENT /sock. Resolution note: ';

  const failure = daemonFailure(
    serviceError(status.UNAVAILABLE, details),
    ADDRESS,
    channel(connectivityState.TRANSIENT_FAILURE),
  );

  expect(failure.message).toBe(`the daemon at ${ADDRESS} cannot be reached: connect ENOENT /sock`);
});

test('error details that cannot be read count as none', () => {
  const error = serviceError(status.ABORTED, 'no');
  error.metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff]));

  expect(daemonFailure(error, ADDRESS, channel())).toMatchObject({ reason: 'ABORTED' });
});

function answer(error: SigildError): ServiceError {
  const { code, details, metadata } = toStatus(error);
  return Object.assign(new Error(details), { code, details, metadata });
}

function serviceError(code: status, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}

function channel(state = connectivityState.READY) {
  return { getConnectivityState: () => state };
}
