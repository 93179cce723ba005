import { expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { Admission } from '../../src/rpc/admission.ts';

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
  const admission = new Admission({ maxInFlight: 10, maxInFlightPerClient: 2 });
  admission.enter('shop');
  admission.enter('shop');

  expect(reasonOf(() => admission.enter('shop'))).toBe('CLIENT_SATURATED');
  expect(reasonOf(() => admission.enter('billing'))).toBe('none');
});

test('all clients together have a limit', () => {
  const admission = new Admission({ maxInFlight: 2, maxInFlightPerClient: 2 });
  admission.enter('shop');
  admission.enter('billing');

  expect(reasonOf(() => admission.enter('audit'))).toBe('POOL_SATURATED');
});

test('a request that was refused does not count', () => {
  const admission = new Admission({ maxInFlight: 1, maxInFlightPerClient: 1 });
  admission.enter('shop');

  reasonOf(() => admission.enter('shop'));

  expect(admission.inFlight).toBe(1);
});

test('a request that leaves makes room', () => {
  const admission = new Admission({ maxInFlight: 2, maxInFlightPerClient: 2 });
  admission.enter('shop');
  admission.enter('shop');

  admission.leave('shop');

  expect(admission.inFlight).toBe(1);
  expect(reasonOf(() => admission.enter('shop'))).toBe('none');
});

test('a request that leaves twice is a defect', () => {
  const admission = new Admission({ maxInFlight: 1, maxInFlightPerClient: 1 });
  admission.enter('shop');
  admission.leave('shop');

  expect(() => admission.leave('shop')).toThrow(Error);
});
