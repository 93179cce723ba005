import { expect, test } from 'vitest';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { signingVersion } from '../../src/domain/key.ts';
import { withFreshKey } from '../../src/service/fresh-key.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const { signal } = new AbortController();

const WINNER = keyVersion({ version: 2 });
const LOSER = keyVersion({ version: 2, id: 'f'.repeat(32) });

/** Chooses the primary version of a key whose every look at the token finds what a test says. */
async function primary(...looks: readonly Key[]) {
  let looked = 0;
  const catalog = new KeyCatalog({
    token: {
      findKey: async () => looks[Math.min(looked++, looks.length - 1)],
      listKeys: async () => ({ id: 'listing', isWhole: true, keys: [], gone: [] }),
    },
    lookupTimeoutMs: 5_000,
    onAmbiguous: () => undefined,
  });
  const choose = (key: Key) => signingVersion(key, undefined);
  const used = withFreshKey(catalog, 'webhooks', signal, choose, async (version) => version);
  return { used, looked: () => looked };
}

test('a version that two daemons are making is waited for', async () => {
  const { used } = await primary(keyOf(WINNER, LOSER), keyOf(LOSER, WINNER), keyOf(WINNER));

  expect(await used).toEqual(WINNER);
});

test('a version that stays ambiguous is refused in the end, after a few looks', async () => {
  const { used, looked } = await primary(keyOf(WINNER, LOSER));

  await expect(used).rejects.toMatchObject({ reason: 'KEY_AMBIGUOUS' });
  expect(looked()).toBeGreaterThan(1);
  expect(looked()).toBeLessThan(10);
});

/** Versions that claim one number. @param ageMs how long ago they were made */
function rivals(ageMs: number): readonly KeyVersion[] {
  const createTimeMs = Date.now() - ageMs;
  return [WINNER, LOSER].map((version) => ({ ...version, createTimeMs }));
}

test('one that was made just now is waited for as long as a busy token may take', async () => {
  const ambiguous = Array.from({ length: 15 }, () => keyOf(...rivals(0)));
  const { used } = await primary(...ambiguous, keyOf(WINNER));

  expect(await used).toEqual(WINNER);
});

test('one that was made just now and stays ambiguous is refused in the end', async () => {
  const { used, looked } = await primary(keyOf(...rivals(4_000)));

  await expect(used).rejects.toMatchObject({ reason: 'KEY_AMBIGUOUS' });
  expect(looked()).toBeLessThan(20);
});
