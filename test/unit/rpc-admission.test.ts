import { expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { Admission, type AdmissionLimits, type AdmissionOptions } from '../../src/rpc/admission.ts';
import { RateLimits } from '../../src/rpc/rate-limits.ts';

function admissionOf(limits: Partial<AdmissionLimits>, options?: AdmissionOptions): Admission {
  const all = {
    maxInFlight: 10,
    maxInFlightPerClient: 10,
    maxStreamsPerClient: 10,
    maxSigningStreams: 10,
    maxSigningStreamsPerClient: 10,
    ...limits,
  };
  return new Admission(all, options);
}

function reasonOf(call: () => void): string {
  try {
    call();
  } catch (error) {
    if (error instanceof SigildError) return error.reason;
    throw error;
  }
  return 'none';
}

test("a client's own limit does not touch other clients", () => {
  const admission = admissionOf({ maxInFlightPerClient: 2 });
  admission.enter('shop');
  admission.enter('shop');

  expect(reasonOf(() => admission.enter('shop'))).toBe('CLIENT_SATURATED');
  expect(reasonOf(() => admission.enter('billing'))).toBe('none');
});

test('all clients together have a limit', () => {
  const admission = admissionOf({ maxInFlight: 2 });
  admission.enter('shop');
  admission.enter('billing');

  expect(reasonOf(() => admission.enter('audit'))).toBe('POOL_SATURATED');
});

test('a request that was refused does not count', () => {
  const admission = admissionOf({ maxInFlight: 1 });
  admission.enter('shop');

  reasonOf(() => admission.enter('shop'));

  expect(admission.inFlight).toBe(1);
});

test('a client may have a limit of its own', () => {
  const admission = admissionOf(
    { maxInFlightPerClient: 1 },
    { maxInFlightOf: new Map([['shop', 2]]) },
  );
  admission.enter('shop');
  admission.enter('billing');

  expect(reasonOf(() => admission.enter('billing'))).toBe('CLIENT_SATURATED');
  expect(reasonOf(() => admission.enter('shop'))).toBe('none');
  expect(reasonOf(() => admission.enter('shop'))).toBe('CLIENT_SATURATED');
});

test('a request beyond a rate does not count as one in flight', () => {
  const clients = new Map([['shop', { callsPerSecond: 5 }]]);
  const rates = new RateLimits({ inAll: {}, perClient: {}, clients });
  const admission = admissionOf({}, { rates });
  admission.enter('shop', { calls: 5, bytes: 0 });

  expect(reasonOf(() => admission.enter('shop'))).toBe('RATE_LIMITED');
  expect(reasonOf(() => admission.enterSigningStream('shop'))).toBe('RATE_LIMITED');
  expect(admission.inFlight).toBe(1);
});

test('a request that does not fit beside the others costs nothing of a rate', () => {
  const clients = new Map([['shop', { callsPerDay: 2 }]]);
  const rates = new RateLimits({ inAll: {}, perClient: {}, clients });
  const admission = admissionOf({ maxInFlightPerClient: 1 }, { rates });
  admission.enter('shop');
  reasonOf(() => admission.enter('shop'));

  admission.leave('shop');

  expect(reasonOf(() => admission.enter('shop'))).toBe('none');
});

test('a request that leaves makes room', () => {
  const admission = admissionOf({ maxInFlight: 2 });
  admission.enter('shop');
  admission.enter('shop');

  admission.leave('shop');

  expect(admission.inFlight).toBe(1);
  expect(reasonOf(() => admission.enter('shop'))).toBe('none');
});

test('a request that leaves twice is a defect', () => {
  const admission = admissionOf({ maxInFlight: 1 });
  admission.enter('shop');
  admission.leave('shop');

  expect(() => admission.leave('shop')).toThrow(Error);
});

test("a client's open streams have a limit of their own", () => {
  const admission = admissionOf({ maxInFlightPerClient: 1, maxStreamsPerClient: 2 });
  admission.enter('shop');
  admission.openStream('shop');
  admission.openStream('shop');

  expect(reasonOf(() => admission.openStream('shop'))).toBe('CLIENT_SATURATED');
  expect(reasonOf(() => admission.openStream('billing'))).toBe('none');
  expect(admission.inFlight).toBe(1);
});

test('a stream that closes makes room for one', () => {
  const admission = admissionOf({ maxStreamsPerClient: 1 });
  admission.openStream('shop');

  admission.closeStream('shop');

  expect(reasonOf(() => admission.openStream('shop'))).toBe('none');
  expect(reasonOf(() => admission.openStream('shop'))).toBe('CLIENT_SATURATED');
});

test('calls that stream their data have limits of their own', () => {
  const admission = admissionOf({
    ...{ maxInFlight: 1, maxSigningStreams: 2, maxSigningStreamsPerClient: 1 },
  });
  admission.enter('shop');
  admission.enterSigningStream('shop');

  expect(reasonOf(() => admission.enterSigningStream('shop'))).toBe('CLIENT_SATURATED');
  expect(reasonOf(() => admission.enterSigningStream('billing'))).toBe('none');
  expect(reasonOf(() => admission.enterSigningStream('audit'))).toBe('POOL_SATURATED');
  admission.leaveSigningStream('shop');
  expect(reasonOf(() => admission.enterSigningStream('audit'))).toBe('none');
});
