import { expect, test } from 'vitest';
import type { Handle } from '../../src/pkcs11/attributes.ts';
import { KeyLocations, type Location } from '../../src/pkcs11/key-locations.ts';

function handleOf(number: number): Handle {
  const handle = Buffer.alloc(8);
  handle.writeBigUInt64LE(BigInt(number));
  return handle;
}

/** Where the first version of a key of this number stands. */
function location(number: number, handle = handleOf(number + 1)): Location {
  const id = number.toString(16).padStart(32, '0');
  return { version: { key: `key-${number}`, id }, handle };
}

function locations(count: number): Location[] {
  return Array.from({ length: count }, (_, number) => location(number));
}

test('a version that nobody has found stands nowhere', () => {
  const known = new KeyLocations();

  known.take(locations(10));

  expect(known.get(location(11).version)).toBeUndefined();
});

test('ten thousand keys that one thread has found are known to the others', () => {
  const known = new KeyLocations();
  const inAnotherThread = new KeyLocations(known.memory);
  const found = locations(10_000);

  known.take(found);

  expect(found.map(({ version }) => inAnotherThread.get(version))).toEqual(
    found.map(({ handle }) => handle),
  );
});

test('all threads know when one of them has found all keys', () => {
  const known = new KeyLocations();
  const inAnotherThread = new KeyLocations(known.memory);
  known.take(locations(10));
  const before = inAnotherThread.isComplete;

  known.complete();

  expect([before, inAnotherThread.isComplete]).toEqual([false, true]);
});

test('a version that is found again stands where it was found last', () => {
  const known = new KeyLocations();
  known.take([location(1)]);

  known.take([location(1, handleOf(77))]);

  expect(known.get(location(1).version)).toEqual(handleOf(77));
});

test('a version that is forgotten stands nowhere until it is found again', () => {
  const known = new KeyLocations();
  known.take(locations(100));
  const { version } = location(50);

  known.forget(version);
  const forgotten = known.get(version);
  known.take([location(50)]);

  expect(forgotten).toBeUndefined();
  expect(known.get(version)).toEqual(location(50).handle);
  expect(known.get(location(51).version)).toEqual(location(51).handle);
});

test('a version that two objects claim is forgotten, and the others of the search are known', () => {
  const known = new KeyLocations();
  known.take([location(1), location(2)]);

  known.take([location(1), location(2), location(1, handleOf(77)), location(3)]);

  expect(known.get(location(1).version)).toBeUndefined();
  expect(known.get(location(2).version)).toEqual(location(2).handle);
  expect(known.get(location(3).version)).toEqual(location(3).handle);
});

test('two keys with one id stand in two places', () => {
  const known = new KeyLocations();
  const { id } = location(1).version;

  known.take([
    { version: { key: 'a', id }, handle: handleOf(1) },
    { version: { key: 'b', id }, handle: handleOf(2) },
  ]);

  expect(known.get({ key: 'a', id })).toEqual(handleOf(1));
  expect(known.get({ key: 'b', id })).toEqual(handleOf(2));
});

test('of more keys than there is room for some are forgotten, and none stands in a wrong place', () => {
  const known = new KeyLocations();
  const found = locations(70_000);

  known.take(found);

  const places = found.map(({ version, handle }) => known.get(version)?.equals(handle));
  expect(places).not.toContain(false);
  expect(places.filter((right) => right).length).toBeGreaterThan(60_000);
});

test('a handle that is no number of eight bytes is not kept', () => {
  const known = new KeyLocations();
  known.take([location(1)]);

  known.take([location(1, Buffer.alloc(4, 1))]);

  expect(known.get(location(1).version)).toBeUndefined();
});
