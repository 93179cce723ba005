import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key } from '../../src/domain/key.ts';
import { KeySearches } from '../../src/service/key-searches.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const { signal } = new AbortController();

/** Searches whose reads end when a test says so. */
function startSearches() {
  const known = new Map<string, Key>();
  const reads: { name: string; end: (key?: Key) => Promise<void>; fail: () => Promise<void> }[] =
    [];
  const searches = new KeySearches({
    peek: (name) => known.get(name),
    read: (name) =>
      new Promise((resolve, reject) => {
        const settled = () => new Promise<void>((done) => setImmediate(done));
        const end = (key?: Key) => {
          resolve(key);
          return settled();
        };
        const fail = () => {
          reject(new SigildError('TOKEN_UNAVAILABLE', 'away'));
          return settled();
        };
        reads.push({ name, end, fail });
      }),
  });
  const names = () => reads.map(({ name }) => name);
  return { searches, known, reads, names };
}

function named(name: string): Key {
  return keyOf(keyVersion({ key: name }));
}

describe('of many searches', () => {
  test('two run at once, and the others in order of arrival', async () => {
    const { searches, reads, names } = startSearches();
    const found = ['a', 'b', 'c', 'd'].map((name) => searches.find(name, signal));
    expect(names()).toEqual(['a', 'b']);

    await reads[1]?.end(named('b'));
    expect(names()).toEqual(['a', 'b', 'c']);
    await reads[0]?.end();
    await reads[2]?.end();
    await reads[3]?.end(named('d'));

    const keys = await Promise.all(found);
    expect(keys.map((key) => key?.name)).toEqual([undefined, 'b', undefined, 'd']);
  });

  test('one that fails lets the next one begin', async () => {
    const { searches, reads, names } = startSearches();
    const [failing, ...others] = ['a', 'b', 'c'].map((name) => searches.find(name, signal));
    const outcome = expect(failing).rejects.toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });

    await reads[0]?.fail();

    await outcome;
    expect(names()).toEqual(['a', 'b', 'c']);
    await reads[1]?.end();
    await reads[2]?.end();
    expect(await Promise.all(others)).toEqual([undefined, undefined]);
  });

  test('none is made for a key that has become known while it waited', async () => {
    const { searches, known, reads, names } = startSearches();
    const found = ['a', 'b', 'c'].map((name) => searches.find(name, signal));
    const key = named('c');

    known.set('c', key);
    await reads[0]?.end();
    await reads[1]?.end();

    expect((await Promise.all(found))[2]).toBe(key);
    expect(names()).toEqual(['a', 'b']);
  });

  test('none is made for callers who have gone while it waited', async () => {
    const { searches, reads, names } = startSearches();
    const staying = ['a', 'b', 'd'].map((name) => searches.find(name, signal));
    const caller = new AbortController();
    const leaving = searches.find('c', caller.signal);

    caller.abort(new SigildError('CANCELLED', 'gone'));
    await expect(leaving).rejects.toMatchObject({ reason: 'CANCELLED' });
    for (const index of [0, 1, 2]) await reads[index]?.end();
    await Promise.all(staying);

    expect(names()).toEqual(['a', 'b', 'd']);
    const again = searches.find('c', signal);
    await reads[3]?.end(named('c'));
    expect((await again)?.name).toBe('c');
  });
});
