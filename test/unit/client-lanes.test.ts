import { beforeEach, expect, test } from 'vitest';
import { Lanes, MAX_FRAME_BYTES, MAX_FRAME_ITEMS } from '../../src/client/lanes.ts';
import type { SigningCall } from '../../src/client/signing-calls.ts';

let lanes: Lanes;

beforeEach(() => {
  lanes = new Lanes();
});

function call(key = 'shop', bytes = 1, maxFrameItems = Number.POSITIVE_INFINITY): SigningCall {
  return {
    target: { id: `sign ${key}`, operation: 'sign', key, version: undefined },
    data: Buffer.alloc(bytes),
    signature: undefined,
    deadlineMs: 1_000,
    expiresAtMs: 1_000,
    signal: undefined,
    resolve: () => undefined,
    reject: () => undefined,
    isSettled: false,
    deadline: undefined,
    lane: undefined,
    carrier: undefined,
    maxFrameItems,
    lastFailure: undefined,
    failures: 0,
  };
}

function add(calls: readonly SigningCall[]) {
  return calls.map((added) => lanes.add(added));
}

/** The sizes of all batches that can be taken. */
function takeAll(): number[] {
  const sizes: number[] = [];
  for (let batch = lanes.take(); batch; batch = lanes.take()) sizes.push(batch.calls.length);
  return sizes;
}

test('takes the calls of a lane in their order, as many as a frame holds', () => {
  const calls = Array.from({ length: MAX_FRAME_ITEMS + 1 }, () => call());
  add(calls);

  const batch = lanes.take();

  expect(batch?.calls).toEqual(calls.slice(0, MAX_FRAME_ITEMS));
  expect(takeAll()).toEqual([1]);
});

test('takes no more bytes than a frame holds, but always one call', () => {
  add([call('a', MAX_FRAME_BYTES), call('a', 1), call('a', MAX_FRAME_BYTES + 1), call('a', 1)]);

  expect(takeAll()).toEqual([1, 1, 1, 1]);
});

test('gives each lane its turn', () => {
  add(Array.from({ length: 2 * MAX_FRAME_ITEMS }, () => call('busy')));
  add([call('quiet')]);

  expect([lanes.take(), lanes.take(), lanes.take()].map((batch) => batch?.target.key)).toEqual([
    'busy',
    'quiet',
    'busy',
  ]);
});

test('makes a frame as small as one of its calls needs it', () => {
  add([call(), call('shop', 1, 2), call(), call('shop', 1, 1), call()]);

  expect(takeAll()).toEqual([2, 1, 1, 1]);
});

test('takes nothing that has left', () => {
  const places = add([call(), call(), call()]);
  for (const place of places) lanes.delete(place);

  expect(takeAll()).toEqual([]);
});

test('takes what came after all others had left', () => {
  const [place] = add([call()]);
  if (place) lanes.delete(place);
  add([call()]);

  expect(takeAll()).toEqual([1]);
});

test('forgets the lanes of keys that are no longer used', () => {
  for (let index = 0; index < 3_000; index += 1) {
    add([call(`key-${index}`)]);
    lanes.take();
  }
  add([call('another')]);

  expect(takeAll()).toEqual([1]);
});
