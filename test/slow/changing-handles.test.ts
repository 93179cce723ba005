import { randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type KnownKeys, startCheckedLoad } from '../support/checked-load.ts';
import { connectClient } from '../support/client.ts';
import { CryptokiProcess } from '../support/cryptoki-process.ts';
import { type DaemonOptions, startDaemon } from '../support/daemon.ts';
import { hostPids } from '../support/host-pids.ts';
import { createOpenCryptoki, whyNoOpenCryptoki } from '../support/opencryptoki.ts';
import { createSoftHsm } from '../support/softhsm.ts';
import type { TestToken } from '../support/test-token.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 300_000 });

const NAMES = ['adopted-one', 'adopted-two', 'adopted-three'];
const CALLERS = 12;

/** Of token hosts, one after another. */
const KILLS = 6;

const LIMIT_MS = 60_000;

const missing = whyNoOpenCryptoki();
if (missing) process.stderr.write(`No tests on openCryptoki: ${missing}.\n`);

/** A token whose keys come and go. */
interface ChangingToken extends TestToken {
  readonly launcher?: DaemonOptions['launcher'];
  writeKey(label: string, value: Buffer): void;
  deleteKey(label: string): void;
}

const cleanUps: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function newSoftHsm(): ChangingToken {
  const softHsm = createSoftHsm();
  cleanUps.push(() => softHsm.remove());
  return {
    ...softHsm,
    writeKey: (label, value) => softHsm.writeKey({ label, value }),
    deleteKey: (label) =>
      void softHsm.pkcs11Tool('--delete-object', '--type', 'secrkey', '--label', label),
  };
}

async function newOpenCryptoki(): Promise<ChangingToken> {
  const token = await createOpenCryptoki();
  cleanUps.push(() => token.remove());
  return token;
}

/** Makes three keys, and has hosts replaced under load while other keys come before and between them. */
async function expectRightMacs(token: ChangingToken): Promise<void> {
  const keys: KnownKeys = new Map(NAMES.map((name) => [name, randomBytes(32)]));
  for (const [label, value] of keys) {
    token.writeKey(`other-${label}`, randomBytes(32));
    token.writeKey(label, value);
  }
  const { launcher } = token;
  const daemon = await startDaemon(token, launcher ? { launcher } : {});
  cleanUps.push(() => daemon.stop());
  const client = connectClient(daemon.addresses[0] as string, undefined, LIMIT_MS);
  cleanUps.push(() => client.close());
  const load = startCheckedLoad(client, keys, CALLERS);
  cleanUps.push(() => load.end());
  const untilRight = async (more: number) => {
    const target = load.right() + more;
    await until(() => hostPids(daemon).length === 2 && load.right() >= target, LIMIT_MS);
  };
  await untilRight(100);

  for (let kills = 0; kills < KILLS; kills += 1) {
    const other = `other-${NAMES[kills % NAMES.length]}`;
    if (kills < NAMES.length) token.deleteKey(other);
    else token.writeKey(other, randomBytes(32));
    const pid = hostPids(daemon)[0] as number;
    process.kill(pid, 'SIGKILL');
    await until(() => !hostPids(daemon).includes(pid), LIMIT_MS);
    await untilRight(100);
  }

  expect(load.wrong).toEqual([]);
  expect(load.failures).toEqual([]);
}

test('the handle of one key is that of another one in another process, on SoftHSM', async () => {
  const token = createSoftHsm();
  cleanUps.push(() => token.remove());
  for (const label of NAMES) token.writeKey({ label, value: randomBytes(32) });
  const handleAmong = async (name: string, order: readonly string[]) => {
    const cryptoki = new CryptokiProcess(token);
    cleanUps.push(() => cryptoki.kill());
    await cryptoki.initialize();
    const session = await cryptoki.openSession();
    await cryptoki.call('C_Login', session, pkcs11js.CKU_USER, token.pin);
    const handles = new Map<string, string>();
    for (const each of order)
      handles.set(each, (await cryptoki.findKey(session, each)).toString('hex'));
    return handles.get(name);
  };
  const [one = '', , three = ''] = NAMES;

  const first = await handleAmong(one, NAMES);
  const last = await handleAmong(three, NAMES.toReversed());

  expect(first).toBe(last);
});

test('fault 9 [SoftHSM]: no MAC is made with another key when token hosts are replaced and handles change their meaning', async () => {
  await expectRightMacs(newSoftHsm());
});

describe.runIf(missing === undefined)('on openCryptoki', () => {
  test('fault 9 [openCryptoki]: no MAC is made with another key when token hosts are replaced and handles change their meaning', async () => {
    await expectRightMacs(await newOpenCryptoki());
  });
});
