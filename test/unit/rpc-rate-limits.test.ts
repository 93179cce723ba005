import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { RateLimits, type Rates } from '../../src/rpc/rate-limits.ts';
import { costOfBatch, costOfFrame, costOfMessage } from '../../src/rpc/request-cost.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
});

function limitsOf(
  perClient: Rates,
  { inAll = {}, shop = {} }: { readonly inAll?: Rates; readonly shop?: Rates } = {},
): RateLimits {
  const clients = new Map([
    ['shop', shop],
    ['billing', {}],
  ]);
  return new RateLimits({ inAll, perClient, clients });
}

function calls(count: number, bytes = 0) {
  return { calls: count, bytes };
}

function refusalOf(spend: () => void): SigildError | undefined {
  try {
    spend();
  } catch (error) {
    if (error instanceof SigildError) return error;
    throw error;
  }
  return undefined;
}

describe('a request', () => {
  test('passes without any limits, whatever it asks for', () => {
    const limits = limitsOf({});

    expect(refusalOf(() => limits.spend('shop', calls(1e9, 1e12)))).toBeUndefined();
  });

  test('beyond a rate is refused, with the limit and the time after which it fits', () => {
    const limits = limitsOf({ callsPerSecond: 10 });
    limits.spend('shop', calls(10));

    const refusal = refusalOf(() => limits.spend('shop', calls(2)));

    expect(refusal).toMatchObject({ reason: 'RATE_LIMITED', retryAfterMs: 200 });
    expect(refusal?.message).toBe('callsPerSecond of this client is 10; try again in 200 ms');
    vi.advanceTimersByTime(200);
    expect(refusalOf(() => limits.spend('shop', calls(2)))).toBeUndefined();
  });

  test('that is refused counts nowhere', () => {
    const limits = limitsOf({ callsPerSecond: 10, bytesPerSecond: 1_000 });
    limits.spend('shop', calls(1, 1_000));

    for (let tries = 0; tries < 100; tries += 1) refusalOf(() => limits.spend('shop', calls(1, 1)));

    expect(refusalOf(() => limits.spend('shop', calls(9)))).toBeUndefined();
  });

  test('waits for the limit that takes longest', () => {
    const limits = limitsOf({ callsPerSecond: 10, bytesPerSecond: 1_000 });
    limits.spend('shop', calls(10, 1_000));

    const refusal = refusalOf(() => limits.spend('shop', calls(1, 500)));

    expect(refusal).toMatchObject({ retryAfterMs: 500 });
    expect(refusal?.message).toContain('bytesPerSecond of this client is 1000');
  });

  test('counts against the day, beside the second', () => {
    const limits = limitsOf({ callsPerDay: 20, callsPerSecond: 15, callBurst: 20 });
    limits.spend('shop', calls(20));
    vi.advanceTimersByTime(60_000);

    const refusal = refusalOf(() => limits.spend('shop', calls(1)));

    expect(refusal?.message).toContain('callsPerDay of this client is 20');
  });
});

describe('the limits of one client', () => {
  test('do not touch another one', () => {
    const limits = limitsOf({ callsPerSecond: 10 });
    limits.spend('shop', calls(10));

    expect(refusalOf(() => limits.spend('billing', calls(10)))).toBeUndefined();
  });

  test('may be its own, each for itself', () => {
    const limits = limitsOf(
      { callsPerSecond: 10, bytesPerSecond: 1_000 },
      { shop: { callsPerSecond: 20 } },
    );

    expect(refusalOf(() => limits.spend('shop', calls(20, 1_000)))).toBeUndefined();
    expect(refusalOf(() => limits.spend('shop', calls(1)))?.message).toContain('is 20');
    expect(refusalOf(() => limits.spend('shop', calls(0, 1)))?.message).toContain('is 1000');
  });

  test('are one account for all whom the configuration does not name', () => {
    const limits = limitsOf({ callsPerSecond: 10 });
    limits.spend('nobody', calls(10));

    expect(refusalOf(() => limits.spend('nobody else', calls(1)))).toBeDefined();
  });
});

test('the limits of all clients together count what each of them asks for', () => {
  const limits = limitsOf({ callsPerSecond: 10 }, { inAll: { callsPerSecond: 15 } });
  limits.spend('shop', calls(10));

  const refusal = refusalOf(() => limits.spend('billing', calls(6)));

  expect(refusal?.message).toContain('callsPerSecond of all clients together is 15');
  expect(refusalOf(() => limits.spend('billing', calls(5)))).toBeUndefined();
});

test('data that come in pieces are waited for as long as they took too much', () => {
  const limits = limitsOf({ bytesPerSecond: 1_000 }, { inAll: { callsPerSecond: 1 } });

  expect(limits.paceMs('shop', 1_000)).toBe(0);
  expect(limits.paceMs('shop', 500)).toBe(500);
  expect(limits.paceMs('shop', 500)).toBe(1_000);
  expect(refusalOf(() => limits.spend('shop', calls(1, 0)))?.message).toContain('bytesPerSecond');
});

test('what a request costs are its items and their data', () => {
  const data = [Buffer.alloc(10), Buffer.alloc(20)];

  expect(costOfMessage({ data: Buffer.alloc(10) })).toEqual(calls(1, 10));
  expect(costOfMessage({ digest: Buffer.alloc(32) })).toEqual(calls(1, 32));
  expect(costOfMessage({})).toEqual(calls(1));
  expect(costOfBatch({ data })).toEqual(calls(2, 30));
  expect(costOfBatch({ data: [] })).toEqual(calls(1));
  expect(costOfFrame({ sign: { data } })).toEqual(calls(2, 30));
  expect(costOfFrame({ verify: { data } })).toEqual(calls(2, 30));
  expect(costOfFrame({})).toEqual(calls(1));
});
