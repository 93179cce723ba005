import { describe, expect, test } from 'vitest';
import type { Key } from '../../src/domain/key.ts';
import { settleCreation, settleVersion } from '../../src/service/settle-creation.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const OWN = keyVersion({ id: '5'.repeat(32) });
const OLDER = keyVersion({ id: '4'.repeat(32) });
const YOUNGER = keyVersion({ id: '6'.repeat(32) });

/** Settles the version {@link OWN} where each look at the token finds what a test says. */
function settle(...looks: readonly (Key | undefined)[]) {
  return settleWith(settleCreation, looks);
}

function settleWith(settling: typeof settleCreation, looks: readonly (Key | undefined)[]) {
  let looked = 0;
  let destroyed = 0;
  const settled = settling({
    name: OWN.key,
    version: OWN.version,
    id: OWN.id,
    find: async () => looks[Math.min(looked++, looks.length - 1)],
    destroy: async () => {
      destroyed += 1;
    },
  });
  return { settled, destroyed: () => destroyed, looked: () => looked };
}

describe('a key that was just made', () => {
  test('stays when it is alone', async () => {
    const { settled, destroyed, looked } = settle(keyOf(OWN));

    expect(await settled).toEqual(keyOf(OWN));
    expect([destroyed(), looked()]).toEqual([0, 1]);
  });

  test('gives way to an older one at once', async () => {
    const { settled, destroyed, looked } = settle(keyOf(OWN, OLDER));

    await expect(settled).rejects.toMatchObject({ reason: 'KEY_ALREADY_EXISTS' });
    expect([destroyed(), looked()]).toEqual([1, 1]);
  });

  test('waits for a younger one to give way', async () => {
    const { settled, destroyed } = settle(keyOf(OWN, YOUNGER), keyOf(OWN, YOUNGER), keyOf(OWN));

    expect(await settled).toEqual(keyOf(OWN));
    expect(destroyed()).toBe(0);
  });

  test('gives way to a younger one that stays, since that may be in use', async () => {
    const { settled, destroyed } = settle(keyOf(OWN, YOUNGER));

    await expect(settled).rejects.toMatchObject({ reason: 'KEY_ALREADY_EXISTS' });
    expect(destroyed()).toBe(1);
  });

  test('is waited for when the token does not show it yet', async () => {
    const { settled } = settle(undefined, keyOf(OWN));

    expect(await settled).toEqual(keyOf(OWN));
  });

  test('is not reported as made when the token never shows it', async () => {
    const { settled, destroyed } = settle(undefined);

    await expect(settled).rejects.toMatchObject({ reason: 'TOKEN_REFUSED' });
    expect(destroyed()).toBe(1);
  });
});

describe('a version that was just made', () => {
  const other = keyVersion({ version: 2 });

  test('stays beside the other versions of its key', async () => {
    const { settled, destroyed } = settle(keyOf(other, OWN));

    expect(await settled).toEqual(keyOf(other, OWN));
    expect(destroyed()).toBe(0);
  });

  test('is waited for when the token shows only the others yet', async () => {
    const { settled } = settle(keyOf(other), keyOf(other, OWN));

    expect(await settled).toEqual(keyOf(other, OWN));
  });

  test('that gives way is answered with the one that stays', async () => {
    const looks = [keyOf(OWN, OLDER), keyOf(OWN, OLDER), keyOf(OLDER)];
    const { settled, destroyed } = settleWith(settleVersion, looks);

    expect(await settled).toEqual(keyOf(OLDER));
    expect(destroyed()).toBe(1);
  });

  test('is to be made again where all give way', async () => {
    const looks = [...Array.from({ length: 11 }, () => keyOf(OWN, YOUNGER)), keyOf(other)];
    const { settled } = settleWith(settleVersion, looks);

    await expect(settled).rejects.toMatchObject({
      reason: 'TOKEN_UNAVAILABLE',
      retryAfterMs: expect.any(Number),
    });
  });

  test('that the token never shows is no other daemon’s', async () => {
    const { settled } = settleWith(settleVersion, [keyOf(other)]);

    await expect(settled).rejects.toMatchObject({ reason: 'TOKEN_REFUSED' });
  });
});
