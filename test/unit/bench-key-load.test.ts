import { expect, test } from 'vitest';
import { type Signer, signWhile } from '../../scripts/bench/key-load.ts';

const MAC = Buffer.from('the MAC');

const NEVER = new AbortController().signal;

/** A key that is signed with in one turn of the event loop. */
function signer(name: string, calls: string[], mac = MAC): Signer {
  const sign = async () => {
    calls.push(name);
    await new Promise(setImmediate);
    return { signature: mac, version: 1, versionId: '', algorithm: 'HMAC_SHA256' as const };
  };
  return { key: { name, sign }, mac: MAC };
}

/** Lets so many calls be made. */
function atMost(calls: number): () => boolean {
  let left = calls;
  return () => left-- > 0;
}

test('makes as many calls as it is let, with each caller’s own keys', async () => {
  const calls: string[] = [];
  const callers = [[signer('one', calls)], [signer('other', calls)]];

  const sample = await signWhile(atMost(10), callers, NEVER);

  expect(calls.toSorted()).toEqual([...Array(5).fill('one'), ...Array(5).fill('other')]);
  const number = expect.any(Number);
  expect(sample).toEqual({ opsPerSecond: number, p50Ms: number, p99Ms: number });
});

test('fails for a wrong MAC, and ends the other callers', async () => {
  const calls: string[] = [];
  const callers = [[signer('right', calls)], [signer('wrong', calls, Buffer.from('another'))]];

  const signing = signWhile(atMost(1_000), callers, NEVER);

  await expect(signing).rejects.toThrow('a wrong MAC of wrong');
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(calls.length).toBeLessThan(10);
});

test('fails when it is to end early', async () => {
  const end = new AbortController();
  const calls: string[] = [];

  const signing = signWhile(atMost(1_000), [[signer('key', calls)]], end.signal);
  end.abort(new Error('ended'));

  await expect(signing).rejects.toThrow('ended');
  expect(calls).toHaveLength(1);
});
