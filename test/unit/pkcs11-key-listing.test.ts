import { expect, test } from 'vitest';
import { KeyListing } from '../../src/pkcs11/key-listing.ts';
import type { KeyObject } from '../../src/pkcs11/key-objects.ts';
import type { Session } from '../../src/pkcs11/session.ts';
import type { ListingPiece, ListingRequest } from '../../src/service/key-lister.ts';
import { keyVersion } from '../support/key-version.ts';

/** Sessions that nothing is asked of. */
const SESSIONS = [{}, {}] as Session[];
const [SESSION, OTHER_SESSION] = SESSIONS as [Session, Session];

/** A listing of keys that a test changes; each read takes so long on its clock. */
function startListing(names: readonly string[], msPerRead = 0) {
  let nowMs = 0;
  let reads = 0;
  let failure: Error | undefined;
  let tokenWorks = true;
  const located: string[] = [];
  const keys = new Map<string, KeyObject>();
  const add = (name: string) => {
    const handle = Buffer.from(name);
    keys.set(handle.toString('hex'), { handle, version: keyVersion({ key: name }) });
  };
  for (const name of names) add(name);
  const handles = (matches: (object: KeyObject) => boolean) =>
    [...keys.values()].filter(matches).map(({ handle }) => handle);
  const listing = new KeyListing({
    objects: {
      handles: () => handles(() => true),
      handlesNamed: (_, name) => handles(({ version }) => version.key === name),
      readPresent: (_, handle) => {
        if (failure) throw failure;
        reads += 1;
        nowMs += msPerRead;
        const part = keys.get(handle.toString('hex'));
        return part && { name: part.version.key, part };
      },
      together: (_, objects) => ({
        keys: objects.flatMap(({ part }) => (part && 'version' in part ? part : [])),
        records: { copies: [], unreadable: [] },
      }),
    },
    locations: {
      take: (found) => located.push(...found.map(({ version }) => version.key)),
      complete: () => located.push('complete'),
    },
    assertTokenWorks: () => {
      if (!tokenWorks) throw new Error('the token is lost');
    },
    now: () => nowMs,
  });
  /** All pieces of one listing. */
  const list = (request: ListingRequest = {}, session = SESSION): ListingPiece[] => {
    const pieces = [listing.next(session, request)];
    for (let last = pieces[0]; last && !last.isLast; last = pieces.at(-1)) {
      pieces.push(listing.next(session, { continues: last.id }));
    }
    return pieces;
  };
  return {
    ...{ listing, list, add, located },
    remove: (name: string) => void keys.delete(Buffer.from(name).toString('hex')),
    fail: (error: Error | undefined) => {
      failure = error;
    },
    lose: () => {
      tokenWorks = false;
    },
    get reads() {
      return reads;
    },
  };
}

function namesOf(pieces: readonly ListingPiece[]): string[] {
  return pieces.flatMap(({ keys }) => keys.map(({ name }) => name));
}

function idOf(pieces: readonly ListingPiece[]): string {
  return pieces.at(-1)?.id ?? '';
}

test('tells everything at first, in byte order of names, then what has changed', () => {
  const { list, add, remove, located } = startListing(['b', 'a', 'B']);

  const first = list();
  add('c');
  remove('a');
  const second = list({ known: { listing: idOf(first), readAgain: [] } });

  expect(first.every(({ isWhole }) => isWhole)).toBe(true);
  expect(namesOf(first)).toEqual(['B', 'a', 'b']);
  expect(second.some(({ isWhole }) => isWhole)).toBe(false);
  expect(namesOf(second)).toEqual(['c']);
  expect(second.flatMap(({ gone }) => gone)).toEqual(['a']);
  expect(idOf(second)).not.toBe(idOf(first));
  expect(located).toEqual(['B', 'a', 'b', 'complete', 'c', 'complete']);
});

test('tells what is asked for, changed or not', () => {
  const { list } = startListing(['a', 'b']);
  const first = list();

  const second = list({ known: { listing: idOf(first), readAgain: ['b', 'nothing'] } });

  expect(namesOf(second)).toEqual(['b']);
  expect(second.flatMap(({ gone }) => gone)).toEqual(['nothing']);
});

test('ends a piece when it has taken long, and goes on with the next', () => {
  const started = startListing(['a', 'b', 'c', 'd'], 4);
  started.list();
  const before = started.reads;

  const first = started.listing.next(SESSION, {});

  expect(started.reads - before).toBe(3);
  expect(first).toMatchObject({ keys: [], isLast: false });
  expect(namesOf(started.list({ continues: first.id }))).toEqual(['a', 'b', 'c', 'd']);
});

test('finds every key in one piece the first time, so that nobody has to search for one', () => {
  const started = startListing(['a', 'b', 'c', 'd'], 4);

  started.listing.next(SESSION, {});

  expect(started.reads).toBe(4);
  expect(started.located).toEqual(['a', 'b', 'c', 'd', 'complete']);
});

test('tells many keys in pieces', () => {
  const names = Array.from({ length: 1_000 }, (_, number) => `key-${number}`);
  const { list } = startListing(names);

  const pieces = list();

  expect(Math.max(...pieces.map(({ keys }) => keys.length))).toBeLessThanOrEqual(128);
  expect(namesOf(pieces)).toEqual([...names].sort());
});

test.each([
  ['it is not the last one', () => ({ listing: 'another', readAgain: [] })],
  ['nothing is known', () => undefined],
])('reads and tells everything anew when %s', (_, known) => {
  const started = startListing(['a', 'b']);
  started.list();
  const before = started.reads;

  const again = started.list({ known: known() });

  expect(again[0]?.isWhole).toBe(true);
  expect(namesOf(again)).toEqual(['a', 'b']);
  expect(started.reads).toBe(before + 2);
});

test('begins anew with another session, whose handles may be others', () => {
  const { list, listing } = startListing(['a', 'b'], 20);
  const first = list();
  const known = { listing: idOf(first), readAgain: ['a'] };
  const begun = listing.next(SESSION, { known });

  const continued = list({ continues: begun.id }, OTHER_SESSION);
  const after = list({ known: { listing: idOf(continued), readAgain: [] } }, SESSION);

  expect(begun.isWhole).toBe(false);
  expect(idOf(continued)).not.toBe(begun.id);
  for (const pieces of [continued, after]) {
    expect(pieces[0]?.isWhole).toBe(true);
    expect(namesOf(pieces)).toEqual(['a', 'b']);
  }
});

test('begins anew after a failure', () => {
  const { list, listing, fail, add } = startListing(['a']);
  const known = { listing: idOf(list()), readAgain: [] };
  add('b');
  fail(new Error('refused'));
  expect(() => listing.next(SESSION, { known })).toThrow('refused');
  fail(undefined);

  const pieces = list({ known });

  expect(pieces[0]?.isWhole).toBe(true);
  expect(namesOf(pieces)).toEqual(['a', 'b']);
});

test('begins anew after a listing that was given up, whose changes nobody has heard of', () => {
  const { list, listing, add } = startListing(['a'], 20);
  const known = { listing: idOf(list()), readAgain: [] };
  add('b');
  listing.next(SESSION, { known });

  const pieces = list({ known });

  expect(pieces[0]?.isWhole).toBe(true);
  expect(namesOf(pieces)).toEqual(['a', 'b']);
});

test('believes that there are no keys when the token works, and else does not', () => {
  const { list, remove, lose } = startListing(['a']);
  const known = { listing: idOf(list()), readAgain: [] };
  remove('a');
  const emptied = list({ known });
  lose();

  expect(emptied.flatMap(({ gone }) => gone)).toEqual(['a']);
  expect(() => list({ known: { listing: idOf(emptied), readAgain: [] } })).toThrow('lost');
});
