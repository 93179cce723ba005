import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Key } from '../../src/domain/key.ts';
import {
  DEFAULT_SETTINGS,
  encodeRecord,
  type KeySettings,
  type StampedRecord,
} from '../../src/domain/key-record.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const SETTINGS: KeySettings = { rotationPeriodMs: 3_600_000, destroyable: false };

const signal = new AbortController().signal;

let softHsm: SoftHsm;
/** Two daemons on one token. */
let token: HostedToken;
let other: HostedToken;
let name: string;

beforeAll(async () => {
  softHsm = createSoftHsm();
  [token, other] = await Promise.all([
    startHostedToken(softHsm, { hosts: 1 }),
    startHostedToken(softHsm, { hosts: 1 }),
  ]);
});

beforeEach(() => {
  name = `key-${randomBytes(4).toString('hex')}`;
});

afterAll(async () => {
  await Promise.all([token?.close(5_000), other?.close(5_000)]);
  softHsm?.remove();
});

function newKey(settings?: KeySettings): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
  return { name, algorithm: 'HMAC_SHA256', id, settings };
}

/** Writes a data object, which every PKCS#11 tool can do. */
function writeData(label: string, value: string, application = 'sigild'): void {
  const file = join(softHsm.directory, randomBytes(4).toString('hex'));
  writeFileSync(file, value);
  softHsm.pkcs11Tool(
    ...['--write-object', file, '--type', 'data', '--private'],
    ...['--label', label, '--application-label', application],
  );
}

/** How many data objects the token holds under the key's name. */
function countData(): number {
  const objects = softHsm.pkcs11Tool('--list-objects', '--type', 'data');
  return objects.split('\n').filter((line) => line.includes(`'${name}'`)).length;
}

/** The settings of the key as the token holds them in a copy of some revision. */
function copyOf(id: string, revision: number, settings = SETTINGS): StampedRecord {
  const nonce = randomBytes(8).toString('hex');
  return {
    record: { kind: 'settings', key: name, id, version: 1, settings },
    stamp: { revision, nonce },
  };
}

function idOf(key: Key): string {
  return key.versions.at(-1)?.id ?? '';
}

describe('a record on the token', () => {
  test('is one private data object under the name of its key', async () => {
    await token.createKey(newKey(SETTINGS), signal);

    const objects = softHsm.pkcs11Tool('--list-objects', '--type', 'data');
    const [, mine = ''] = objects.split(`label:          '${name}'`);
    const [described = ''] = mine.split('Data object');
    expect(described).toContain("application:    'sigild'");
    expect(described).toMatch(/flags:\s+modifiable private/);
    expect(countData()).toBe(1);
  });

  test('is seen by another daemon, and replaced by it', async () => {
    const key = await token.createKey(newKey(SETTINGS), signal);
    const subject = { kind: 'settings', key: name, id: idOf(key) } as const;
    const settings = { rotationPeriodMs: 7_200_000, destroyable: false };

    const seen = await other.findKey(name, signal);
    await other.changeRecord(subject, () => ({ ...subject, version: 1, settings }), signal);

    expect(seen?.settings).toEqual(SETTINGS);
    expect((await token.findKey(name, signal))?.settings).toEqual(settings);
    expect(countData()).toBe(1);
  });

  test('loses no change that two daemons make at the same time', async () => {
    const key = await token.createKey(newKey({ rotationPeriodMs: 1, destroyable: true }), signal);
    const subject = { kind: 'settings', key: name, id: idOf(key) } as const;
    const set = (daemon: HostedToken, index: number) =>
      daemon.changeRecord(
        subject,
        (current) => {
          const before = current?.kind === 'settings' ? current.settings.rotationPeriodMs : 0;
          const settings = { rotationPeriodMs: (before ?? 0) | (2 << index), destroyable: true };
          return { ...subject, version: 1, settings };
        },
        signal,
      );

    await Promise.all([token, other, token, other].map(set));

    const found = await token.findKey(name, signal);
    expect(found?.settings.rotationPeriodMs).toBe(31);
  });

  test('that a crashed change has left behind goes with the next change', async () => {
    const key = await token.createKey(newKey(SETTINGS), signal);
    writeData(name, encodeRecord(copyOf(idOf(key), 2, DEFAULT_SETTINGS)));
    const subject = { kind: 'settings', key: name, id: idOf(key) } as const;
    const before = await token.findKey(name, signal);

    await token.changeRecord(subject, (current) => current, signal);

    expect(before).toMatchObject({ settings: { destroyable: true }, leftovers: [{ revision: 1 }] });
    const after = await token.findKey(name, signal);
    expect(after).toEqual({ ...key, settings: DEFAULT_SETTINGS });
    expect(countData()).toBe(1);
  });

  test('that is left over can be removed', async () => {
    const key = await token.createKey(newKey(SETTINGS), signal);
    writeData(name, encodeRecord(copyOf(idOf(key), 2)));
    const { leftovers = [] } = (await token.findKey(name, signal)) ?? {};

    await token.removeRecords(name, leftovers, signal);

    expect(await token.findKey(name, signal)).toEqual(key);
    expect(countData()).toBe(1);
  });

  test('of a creation that crashed does not count for the next one, and goes with it', async () => {
    writeData(name, encodeRecord(copyOf('ab'.repeat(16), 1)));

    const found = await token.findKey(name, signal);
    const key = await token.createKey(newKey(), signal);

    expect(found).toBeUndefined();
    expect(key.settings).toEqual(DEFAULT_SETTINGS);
    expect(key.leftovers).toBeUndefined();
    expect(countData()).toBe(0);
  });

  test('that cannot be understood is told of, and left alone by every change', async () => {
    const key = await token.createKey(newKey(SETTINGS), signal);
    for (const value of ['no JSON', '{"kind":"labels"}', 'x'.repeat(10_000), '']) {
      writeData(name, value);
    }
    const subject = { kind: 'settings', key: name, id: idOf(key) } as const;

    await token.changeRecord(subject, (current) => current, signal);

    expect(await token.findKey(name, signal)).toEqual({ ...key, unreadableRecords: 4 });
    expect(countData()).toBe(5);
  });

  test('is none that another application wrote, or that has another label', async () => {
    const key = await token.createKey(newKey(), signal);
    writeData(name, encodeRecord(copyOf(idOf(key), 1)), 'other');
    writeData(`sigild:${name}`, encodeRecord(copyOf(idOf(key), 1)));

    expect(await token.findKey(name, signal)).toEqual(key);
    const { keys } = await token.listKeys(undefined, signal);
    expect(keys.find((listed) => listed.name === name)).toEqual(key);
  });
});
