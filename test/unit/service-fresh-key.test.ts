import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { signingVersion } from '../../src/domain/key.ts';
import { withFreshKey } from '../../src/service/fresh-key.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const { signal } = new AbortController();

const WINNER = keyVersion({ version: 2 });
const LOSER = keyVersion({ version: 2, id: 'f'.repeat(32) });

const choosePrimary = (key: Key) => signingVersion(key, undefined);

function catalogOf(findKey: () => Promise<Key | undefined>): KeyCatalog {
  return new KeyCatalog({
    token: {
      findKey,
      listKeys: async () => ({ id: 'listing', isWhole: true, keys: [], gone: [] }),
    },
    lookupTimeoutMs: 5_000,
    onAmbiguous: () => undefined,
  });
}

/** Chooses the primary version of a key whose every look at the token finds what a test says. */
async function primary(...looks: readonly Key[]) {
  let looked = 0;
  const catalog = catalogOf(async () => looks[Math.min(looked++, looks.length - 1)]);
  const used = withFreshKey(catalog, 'webhooks', signal, choosePrimary, async (version) => version);
  return { used, looked: () => looked };
}

/**
 * A catalog that has learned of a key while an older look at the token is still under way, which whoever
 * looks again shares.
 */
function overtaken(older: Key, known: Key, later: Key) {
  let endLook: () => void = () => undefined;
  const look = new Promise<Key>((resolve) => {
    endLook = () => resolve(older);
  });
  const looks = [look];
  const catalog = catalogOf(async () => looks.shift() ?? later);
  catalog.remember(older);
  void catalog.find(older.name, signal, 0);
  catalog.remember(known);
  return { catalog, endLook };
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

describe('a look at the token that began before what is known was read', () => {
  test('leaves a version that two daemons are making to the next look', async () => {
    const { catalog, endLook } = overtaken(keyOf(), keyOf(WINNER, LOSER), keyOf(WINNER));

    const used = withFreshKey(catalog, 'webhooks', signal, choosePrimary, async (chosen) => chosen);
    endLook();

    expect(await used).toEqual(WINNER);
  });

  test('leaves a version that the token refuses to the next look', async () => {
    const former = keyVersion({ version: 1 });
    const { catalog, endLook } = overtaken(keyOf(former), keyOf(former), keyOf(WINNER, former));
    const use = async (chosen: KeyVersion) => {
      if (chosen.version === 2) return chosen;
      throw new SigildError('KEY_STATE_FORBIDS', 'version 1 has been deactivated');
    };

    const used = withFreshKey(catalog, 'webhooks', signal, choosePrimary, use);
    endLook();

    expect(await used).toEqual(WINNER);
  });
});
