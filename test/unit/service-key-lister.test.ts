import { expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key } from '../../src/domain/key.ts';
import { KeyLister, type ListingPiece, type ListingRequest } from '../../src/service/key-lister.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const { signal } = new AbortController();

function named(name: string): Key {
  return keyOf(keyVersion({ key: name }));
}

function piece(id: string, wanted: Partial<ListingPiece> = {}): ListingPiece {
  return { id, isWhole: false, keys: [], gone: [], isLast: false, ...wanted };
}

/** A lister that gets these pieces, each after a turn of the event loop. */
function startLister(...pieces: readonly ListingPiece[]) {
  const requests: ListingRequest[] = [];
  const left = [...pieces];
  const lister = new KeyLister(async (request) => {
    requests.push(request);
    await new Promise(setImmediate);
    return left.shift() ?? piece('more', { isLast: true });
  });
  return { lister, requests };
}

test('puts the pieces of a listing together', async () => {
  const known = { listing: 'before', readAgain: ['b'] };
  const { lister, requests } = startLister(
    piece('now'),
    piece('now', { keys: [named('a')], gone: ['x'] }),
    piece('now', { keys: [named('b')], gone: ['y'], isLast: true }),
  );

  const listed = await lister.list(known, signal);

  expect(listed).toEqual({
    ...{ id: 'now', isWhole: false, keys: [named('a'), named('b')], gone: ['x', 'y'] },
  });
  expect(requests).toEqual([{ known }, { continues: 'now' }, { continues: 'now' }]);
});

test('begins again with a piece of another listing', async () => {
  const { lister, requests } = startLister(
    piece('lost', { keys: [named('a')], gone: ['x'] }),
    piece('whole', { isWhole: true, keys: [named('b')] }),
    piece('whole', { isWhole: true, keys: [named('c')], isLast: true }),
  );

  const listed = await lister.list({ listing: 'before', readAgain: [] }, signal);

  expect(listed).toEqual({
    ...{ id: 'whole', isWhole: true, keys: [named('b'), named('c')], gone: [] },
  });
  expect(requests.at(-1)).toEqual({ continues: 'whole' });
});

test('runs one listing at a time', async () => {
  const { lister, requests } = startLister(
    ...[piece('first'), piece('first', { isLast: true })],
    ...[piece('second'), piece('second', { isLast: true })],
  );

  const listed = await Promise.all([
    lister.list(undefined, signal),
    lister.list(undefined, signal),
  ]);

  expect(listed.map(({ id }) => id)).toEqual(['first', 'second']);
  expect(requests).toEqual([{}, { continues: 'first' }, {}, { continues: 'second' }]);
});

test('asks for nothing more when the caller has gone, and serves the next one', async () => {
  const { lister, requests } = startLister(piece('left'), piece('next', { isLast: true }));
  const caller = new AbortController();
  const gone = new SigildError('CANCELLED', 'gone');

  const left = lister.list(undefined, caller.signal);
  const next = lister.list(undefined, signal);
  await Promise.resolve();
  caller.abort(gone);

  await expect(left).rejects.toBe(gone);
  expect((await next).id).toBe('next');
  expect(requests).toEqual([{}, {}]);
});
