import { expect, test } from 'vitest';
import type { Key } from '../../src/domain/key.ts';
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
