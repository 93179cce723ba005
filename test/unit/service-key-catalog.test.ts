import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Cancellation } from '../../src/domain/cancellation.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key } from '../../src/domain/key.ts';
import { untilAborted } from '../../src/service/deadline.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import type { KnownKeys, ListedKeys } from '../../src/service/token-values.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const { signal } = new AbortController();

/** A read that ends when a test says so, with what the test says. */
interface Read<Result> {
  readonly name: string;
  answer(result: Result): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** A catalog over a token whose answers come one by one or never, and a clock that a test moves. */
function startCatalog(lookupTimeoutMs = 3_600_000) {
  const searches: Read<Key | undefined>[] = [];
  const lists: Read<ListedKeys>[] = [];
  const asked: (KnownKeys | undefined)[] = [];
  const ambiguous: string[] = [];
  const clock = { nowMs: 1_000 };
  const read = <Result>(name: string, reads: Read<Result>[], signal: Cancellation) =>
    untilAborted(
      new Promise<Result>((resolve, reject) => {
        reads.push({
          name,
          answer: (result) => settled(() => resolve(result)),
          fail: (error) => settled(() => reject(error)),
        });
      }),
      signal,
    );
  const settled = async (settle: () => void) => {
    settle();
    await new Promise(setImmediate);
  };
  const catalog = new KeyCatalog({
    token: {
      findKey: (name, signal) => read(name, searches, signal),
      listKeys: (known, signal) => {
        asked.push(known);
        return read('all', lists, signal);
      },
    },
    lookupTimeoutMs,
    onAmbiguous: (key, versions) => ambiguous.push(`${key.name} ${versions.join()}`),
    now: () => {
      clock.nowMs += 1;
      return clock.nowMs;
    },
  });
  return { catalog, searches, lists, asked, ambiguous, clock };
}

function named(name: string, version = 1): Key {
  return keyOf(keyVersion({ key: name, version }));
}

function whole(keys: readonly Key[], id = 'whole'): ListedKeys {
  return { id, isWhole: true, keys, gone: [] };
}

function changes(keys: readonly Key[], gone: readonly string[] = [], id = 'changes'): ListedKeys {
  return { id, isWhole: false, keys, gone };
}

describe('a key that is not known', () => {
  test('is looked for on the token', async () => {
    const { catalog, searches } = startCatalog();
    const key = named('webhooks');

    const found = catalog.find('webhooks', signal);
    await searches[0]?.answer(key);

    expect(await found).toBe(key);
    expect(catalog.peek('webhooks')).toBe(key);
  });

  test('is looked for once, however many ask', async () => {
    const { catalog, searches } = startCatalog();

    const found = [1, 2, 3].map(() => catalog.find('webhooks', signal));
    await searches[0]?.answer(undefined);

    expect(await Promise.all(found)).toEqual([undefined, undefined, undefined]);
    expect(searches).toHaveLength(1);
  });

  test('is looked for again by whoever asks after that', async () => {
    const { catalog, searches } = startCatalog();
    const first = catalog.find('webhooks', signal);
    await searches[0]?.answer(undefined);
    await first;

    void catalog.find('webhooks', signal);

    expect(searches).toHaveLength(2);
  });

  test('is looked for again after a search that failed', async () => {
    const { catalog, searches } = startCatalog();
    const failure = new SigildError('TOKEN_UNAVAILABLE', 'away');
    const first = catalog.find('webhooks', signal);
    const outcome = expect(first).rejects.toBe(failure);
    await searches[0]?.fail(failure);
    await outcome;

    const second = catalog.find('webhooks', signal);
    await searches[1]?.answer(named('webhooks'));

    expect((await second)?.name).toBe('webhooks');
  });

  test('is not looked for when the caller has gone', async () => {
    const { catalog, searches } = startCatalog();
    const gone = new SigildError('CANCELLED', 'gone');

    await expect(catalog.find('webhooks', AbortSignal.abort(gone))).rejects.toBe(gone);

    expect(searches).toEqual([]);
  });

  test('is found for the others when one caller leaves', async () => {
    const { catalog, searches } = startCatalog();
    const caller = new AbortController();
    const leaving = catalog.find('webhooks', caller.signal);
    const staying = catalog.find('webhooks', signal);

    caller.abort(new SigildError('CANCELLED', 'gone'));
    await expect(leaving).rejects.toMatchObject({ reason: 'CANCELLED' });
    await searches[0]?.answer(named('webhooks'));

    expect(await staying).toBeDefined();
  });

  test('is looked for no longer than the limit', async () => {
    const { catalog } = startCatalog(10);

    await expect(catalog.find('webhooks', signal)).rejects.toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
    });
  });
});

describe('a key that is known', () => {
  test('costs no search, however old it is', async () => {
    const { catalog, searches, clock } = startCatalog();
    const key = named('webhooks');
    catalog.remember(key);
    clock.nowMs += 1e9;

    expect(await catalog.find('webhooks', signal)).toBe(key);
    expect(searches).toEqual([]);
  });

  test('is read again when it is older than it may be', async () => {
    const { catalog, searches, clock } = startCatalog();
    catalog.remember(named('webhooks'));
    clock.nowMs += 500;
    expect(await catalog.find('webhooks', signal, 1_000)).toBeDefined();
    clock.nowMs += 600;

    const found = catalog.find('webhooks', signal, 1_000);
    await searches[0]?.answer(named('webhooks', 2));

    expect((await found)?.versions[0]?.version).toBe(2);
  });

  test('is read again each time when it may have no age', () => {
    const { catalog, searches } = startCatalog();
    catalog.remember(named('webhooks'));

    void catalog.find('webhooks', signal, 0);

    expect(searches).toHaveLength(1);
  });

  test('is forgotten when it is no longer on the token', async () => {
    const { catalog, searches } = startCatalog();
    catalog.remember(named('webhooks'));

    const found = catalog.find('webhooks', signal, 0);
    await searches[0]?.answer(undefined);

    expect(await found).toBeUndefined();
    expect(catalog.peek('webhooks')).toBeUndefined();
  });

  test('stays known when the token cannot be read', async () => {
    const { catalog, searches } = startCatalog();
    const key = named('webhooks');
    catalog.remember(key);

    const found = catalog.find('webhooks', signal, 0);
    const outcome = expect(found).rejects.toThrow('away');
    await searches[0]?.fail(new SigildError('TOKEN_UNAVAILABLE', 'away'));

    await outcome;
    expect(catalog.peek('webhooks')).toBe(key);
  });
});

describe('a refresh', () => {
  test('takes in what is there and forgets what is not, in byte order of names', async () => {
    const { catalog, lists } = startCatalog();
    catalog.remember(named('gone'));
    catalog.remember(named('b'));

    const refresh = catalog.refresh();
    await lists[0]?.answer(whole([named('B'), named('a'), named('b', 2)]));
    await refresh;

    const known = catalog.all().map((key) => `${key.name} ${key.versions[0]?.version}`);
    expect(known).toEqual(['B 1', 'a 1', 'b 2']);
  });

  test('is shared by all who ask while it runs', async () => {
    const { catalog, lists } = startCatalog();

    const refreshes = [catalog.refresh(), catalog.refresh()];
    await lists[0]?.answer(whole([]));
    await Promise.all(refreshes);
    void catalog.refresh();

    expect(lists).toHaveLength(2);
  });

  test('that fails leaves what was known, and the next one reads again', async () => {
    const { catalog, lists } = startCatalog();
    catalog.remember(named('a'));

    const refresh = catalog.refresh();
    const outcome = expect(refresh).rejects.toThrow('away');
    await lists[0]?.fail(new SigildError('TOKEN_UNAVAILABLE', 'away'));
    await outcome;

    expect(catalog.all()).toHaveLength(1);
    void catalog.refresh();
    expect(lists).toHaveLength(2);
  });
});

describe('a refresh after another', () => {
  /** A catalog that has taken in a whole listing of some keys. */
  async function startListed(...keys: readonly Key[]) {
    const started = startCatalog();
    const refresh = started.catalog.refresh();
    await started.lists[0]?.answer(whole(keys));
    await refresh;
    return started;
  }

  test('asks for what has changed since, and takes it in', async () => {
    const { catalog, lists, asked } = await startListed(named('a'), named('b'), named('c'));

    const refresh = catalog.refresh();
    await lists[1]?.answer(changes([named('b', 2), named('d')], ['c']));
    await refresh;

    const known = catalog.all().map((key) => `${key.name} ${key.versions[0]?.version}`);
    expect(known).toEqual(['a 1', 'b 2', 'd 1']);
    expect(asked).toEqual([undefined, { listing: 'whole', readAgain: [] }]);
  });

  test('takes in everything when the token no longer knows the one before', async () => {
    const { catalog, lists } = await startListed(named('a'), named('b'));

    const refresh = catalog.refresh();
    await lists[1]?.answer(whole([named('b')], 'another'));
    await refresh;

    expect(catalog.all().map(({ name }) => name)).toEqual(['b']);
  });

  test('has read again, once, what was learned otherwise', async () => {
    const { catalog, lists, asked, searches } = await startListed(named('found'), named('gone'));
    const finds = ['found', 'gone', 'nowhere'].map((name) => catalog.find(name, signal, 0));
    await searches[0]?.answer(named('found', 2));
    await searches[1]?.answer(undefined);
    await searches[2]?.answer(undefined);
    await Promise.all(finds);
    catalog.remember(named('made'));

    const first = catalog.refresh();
    await lists[1]?.answer(changes([]));
    await first;
    const second = catalog.refresh();
    await lists[2]?.answer(changes([]));
    await second;

    expect(asked.slice(1)).toEqual([
      { listing: 'whole', readAgain: ['found', 'gone', 'made'] },
      { listing: 'changes', readAgain: [] },
    ]);
  });

  test('has read again what was learned while the one before ran', async () => {
    const { catalog, lists, asked } = await startListed(named('webhooks'));
    const first = catalog.refresh();
    catalog.remember(named('webhooks', 2));
    // It may have seen a change that came after, but began before.
    await lists[1]?.answer(changes([named('webhooks', 3)]));
    await first;
    expect(catalog.peek('webhooks')?.versions[0]?.version).toBe(2);

    const second = catalog.refresh();
    await lists[2]?.answer(changes([named('webhooks', 3)]));
    await second;

    expect(asked[2]).toEqual({ listing: 'changes', readAgain: ['webhooks'] });
    expect(catalog.peek('webhooks')?.versions[0]?.version).toBe(3);
  });

  test('asks for the same again after one that failed', async () => {
    const { catalog, lists, asked } = await startListed(named('a'));
    catalog.remember(named('b'));
    const failed = catalog.refresh();
    const outcome = expect(failed).rejects.toThrow('away');
    await lists[1]?.fail(new SigildError('TOKEN_UNAVAILABLE', 'away'));
    await outcome;

    void catalog.refresh();

    expect(asked[2]).toEqual({ listing: 'whole', readAgain: ['b'] });
  });
});

describe('reading anew', () => {
  test('reads everything, whatever is known', async () => {
    const { catalog, lists, asked } = startCatalog();
    const first = catalog.refresh();
    await lists[0]?.answer(whole([named('a')]));
    await first;

    const anew = catalog.readAnew();
    await lists[1]?.answer(whole([named('b')], 'anew'));
    await anew;

    expect(asked).toEqual([undefined, undefined]);
    expect(catalog.all().map(({ name }) => name)).toEqual(['b']);
  });

  test.each([
    ['', (list: Read<ListedKeys>) => list.answer(whole([]))],
    [' that fails', (list: Read<ListedKeys>) => list.fail(new Error('away'))],
  ])('waits for a refresh that runs%s', async (_, end) => {
    const { catalog, lists } = startCatalog();
    const refresh = catalog.refresh().catch(() => undefined);

    const anew = catalog.readAnew();
    expect(lists).toHaveLength(1);
    await end(lists[0] as Read<ListedKeys>);
    await lists[1]?.answer(whole([named('a')], 'anew'));
    await Promise.all([refresh, anew]);

    expect(catalog.all()).toHaveLength(1);
  });

  test('is shared by all who ask while it runs, and by a refresh', async () => {
    const { catalog, lists } = startCatalog();

    const reads = [catalog.readAnew(), catalog.readAnew(), catalog.refresh()];
    await lists[0]?.answer(whole([]));
    await Promise.all(reads);

    expect(lists).toHaveLength(1);
  });
});

describe('of two reads that overlap', () => {
  test('a search that began before a key was made does not forget it', async () => {
    const { catalog, searches } = startCatalog();
    const made = named('webhooks');
    const early = catalog.find('webhooks', signal);

    catalog.remember(made);
    await searches[0]?.answer(undefined);

    expect(catalog.peek('webhooks')).toBe(made);
    expect(await early).toBe(made);
  });

  test('a refresh that began before a key was made does not forget it', async () => {
    const { catalog, lists } = startCatalog();
    const refresh = catalog.refresh();

    catalog.remember(named('webhooks'));
    await lists[0]?.answer(whole([]));
    await refresh;

    expect(catalog.peek('webhooks')).toBeDefined();
  });

  test('a refresh that began before a search does not undo what the search found', async () => {
    const { catalog, lists, searches } = startCatalog();
    const refresh = catalog.refresh();
    const found = catalog.find('webhooks', signal);

    await searches[0]?.answer(named('webhooks', 2));
    await lists[0]?.answer(whole([named('webhooks', 1)]));
    await Promise.all([refresh, found]);

    expect(catalog.peek('webhooks')?.versions[0]?.version).toBe(2);
  });

  test('a search that began before a refresh does not undo what the refresh found', async () => {
    const { catalog, lists, searches } = startCatalog();
    const found = catalog.find('webhooks', signal);
    const refresh = catalog.refresh();

    await lists[0]?.answer(whole([named('webhooks', 2)]));
    await searches[0]?.answer(named('webhooks', 1));
    await Promise.all([refresh, found]);

    expect(catalog.peek('webhooks')?.versions[0]?.version).toBe(2);
  });
});

describe('a look at whether a version was added', () => {
  test('is one for all who ask before it begins, and not the one that runs already', async () => {
    const { catalog, searches, clock } = startCatalog();
    catalog.remember(named('webhooks', 1));
    clock.nowMs += 1_000;

    const first = [catalog.confirm('webhooks', signal), catalog.confirm('webhooks', signal)];
    await vi.waitUntil(() => searches.length === 1);
    const second = [catalog.confirm('webhooks', signal), catalog.confirm('webhooks', signal)];
    clock.nowMs += 1_000;
    await searches[0]?.answer(named('webhooks', 2));
    await vi.waitUntil(() => searches.length === 2);
    await searches[1]?.answer(named('webhooks', 3));

    const keys = await Promise.all([...first, ...second]);
    expect(keys.map((key) => key?.versions[0]?.version)).toEqual([2, 2, 3, 3]);
  });

  test('waits for its time after the look before', async () => {
    const { catalog, searches } = startCatalog();
    catalog.remember(named('webhooks', 1));

    const confirmed = catalog.confirm('webhooks', signal);
    await new Promise(setImmediate);
    expect(searches).toEqual([]);
    await vi.waitUntil(() => searches.length === 1);
    await searches[0]?.answer(named('webhooks', 2));

    expect((await confirmed)?.versions[0]?.version).toBe(2);
    expect(catalog.peek('webhooks')?.versions[0]?.version).toBe(2);
  });

  test('ends with its caller, and goes on for the others', async () => {
    const { catalog, searches } = startCatalog();
    const gone = new SigildError('CANCELLED', 'gone');
    const caller = new AbortController();
    const left = catalog.confirm('webhooks', caller.signal);
    const stays = catalog.confirm('webhooks', signal);

    caller.abort(gone);
    await expect(left).rejects.toBe(gone);
    await vi.waitUntil(() => searches.length === 1);
    await searches[0]?.answer(named('webhooks', 2));

    expect((await stays)?.versions[0]?.version).toBe(2);
  });
});

test('two objects that claim one version are told of at each look', async () => {
  const { catalog, lists, ambiguous } = startCatalog();
  const twice = keyOf(keyVersion({ version: 3 }), keyVersion(), keyVersion({ id: 'f'.repeat(32) }));

  catalog.remember(twice);
  const refresh = catalog.refresh();
  await lists[0]?.answer(whole([twice, named('other')]));
  await refresh;

  expect(ambiguous).toEqual(['webhooks 1', 'webhooks 1']);
});

test('a wall clock that goes back does not keep old entries', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  let reads = 0;
  const findKey = async (name: string) => {
    reads += 1;
    return named(name);
  };
  const token = { findKey, listKeys: async () => whole([]) };
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 1_000, onAmbiguous: () => undefined });
  catalog.remember(named('webhooks'));

  vi.setSystemTime(Date.now() - 3_600_000);
  await catalog.find('webhooks', signal, 0);

  expect(reads).toBe(1);
});
