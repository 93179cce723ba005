import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { CONTROL_FD, type StartMessage } from '../../src/token-host/host-messages.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import type { HostedTokenOptions } from '../../src/token-host/hosted-token-options.ts';
import { deadline } from '../support/faulty-token.ts';
import { HOST_PROGRAM, startHostedToken } from '../support/hosted-token.ts';
import { setUsage } from '../support/key-editor.ts';
import { keyVersion } from '../support/key-version.ts';
import { signOne } from '../support/one-message.ts';
import { on, type Pkcs11Shim, pkcs11Shim } from '../support/pkcs11-shim.ts';
import { processTree } from '../support/processes.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const SESSIONS = 4;

/** pkcs11js 2.1.7 makes two calls to read attributes: for their sizes, then for their values. */
const READS = 2;

/** A host reads its canary's id when it starts. */
const READS_OF_CANARY = READS;

/** Before and after the first host makes a canary key, and for it in the other one. */
const SEARCHES_OF_FIRST_START = 3;

/** How long a host leaves the looking at its keys to others. */
const SURVEY_DELAY_MS = 1_000;

const DATA = Buffer.from('data');

/** A key that another tool has written, and its version as sigild sees it. */
interface WrittenKey {
  readonly version: KeyVersion;
  readonly mac: Buffer;
}

let softHsm: SoftHsm;
let shim: Pkcs11Shim;
let token: HostedToken | undefined;

beforeEach(() => {
  softHsm = createSoftHsm();
  shim = pkcs11Shim(softHsm);
});

afterEach(async () => {
  await shim.control();
  await token?.close(2_000);
  token = undefined;
  softHsm.remove();
});

function writeKey(label: string, id = newId()): WrittenKey {
  const value = randomBytes(32);
  softHsm.writeKey({ label, id, value });
  const mac = createHmac('sha256', value).update(DATA).digest();
  return { version: keyVersion({ key: label, id }), mac };
}

function newId(): string {
  const tag = randomBytes(6);
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag });
  return Buffer.from(id).toString('hex');
}

function deleteKey(label: string): void {
  softHsm.pkcs11Tool('--delete-object', '--type', 'secrkey', '--label', label);
}

function startOnShim(options: Partial<HostedTokenOptions> = {}): Promise<HostedToken> {
  const { module, environment } = shim;
  return startHostedToken(softHsm, {
    ...{ module, environment, hosts: 1, sessionsPerHost: SESSIONS },
    ...options,
  });
}

/** Starts one host, and waits for the one that changes the token. */
async function start(options: Partial<HostedTokenOptions> = {}): Promise<HostedToken> {
  let writers = 0;
  const onWriterTransition = () => {
    writers += 1;
  };
  token = await startOnShim({ onWriterTransition, ...options });
  await until(() => writers > 0);
  return token;
}

/** As {@link start}, and waits until the host has looked at as many keys as there are. */
async function startSurveyed(keys: number): Promise<HostedToken> {
  // So that there is a canary key, and each host searches for it once.
  await (await start()).close(2_000);
  const searched = searches();
  const read = shim.calls('C_GetAttributeValue');
  const started = await start({ warmKeys: 'off' });
  await until(() => searches() === searched + 3);
  const readsOfKeys = READS * (keys + 1) + 2 * READS_OF_CANARY;
  await until(() => shim.calls('C_GetAttributeValue') === read + readsOfKeys);
  // For what follows upon the last call.
  await sleep(100);
  return started;
}

function searches(): number {
  return shim.calls('C_FindObjectsInit');
}

/** Signs with a key on every session. @returns what came of it */
async function signEverywhere({ version, mac }: WrittenKey): Promise<Set<string>> {
  const calls = Array.from({ length: 8 * SESSIONS }, () =>
    signOne(token as HostedToken, version, DATA, deadline()).then(
      (signature) => (signature.equals(mac) ? 'signed' : 'a wrong MAC'),
      (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
    ),
  );
  return new Set(await Promise.all(calls));
}

describe('after a start', () => {
  test('signing with many keys on many sessions searches for none of them', async () => {
    const keys = Array.from({ length: 10 }, (_, number) => writeKey(`adopted-${number}`));
    await startSurveyed(keys.length);
    const before = searches();

    const outcomes = await Promise.all(keys.map((key) => signEverywhere(key)));

    expect(outcomes).toEqual(keys.map(() => new Set(['signed'])));
    expect(searches()).toBe(before);
  });

  test('a key that was made since is searched for once, and then known to all sessions', async () => {
    await startSurveyed(0);
    const key = writeKey('adopted-new');
    const before = searches();

    await (token as HostedToken).findKey('adopted-new', deadline());
    const outcomes = await signEverywhere(key);

    expect(outcomes).toEqual(new Set(['signed']));
    expect(searches()).toBe(before + 1);
  });

  test('a listing tells all sessions of the keys that were made since', async () => {
    await startSurveyed(0);
    const keys = [writeKey('adopted-a'), writeKey('adopted-b')];
    const before = searches();

    await (token as HostedToken).listKeys(undefined, deadline());
    const outcomes = await Promise.all(keys.map((key) => signEverywhere(key)));

    expect(outcomes).toEqual([new Set(['signed']), new Set(['signed'])]);
    expect(searches()).toBe(before + 1);
  });

  test('a key that nobody has looked for is found by the session that uses it', async () => {
    await startSurveyed(0);
    const key = writeKey('adopted-new');

    expect(await signEverywhere(key)).toEqual(new Set(['signed']));
  });

  test('a key that was deleted is not found, and the one of another id in its place is', async () => {
    const old = writeKey('adopted-key');
    await startSurveyed(1);
    deleteKey('adopted-key');
    const next = writeKey('adopted-key');

    expect(await signEverywhere(old)).toEqual(new Set(['KEY_NOT_FOUND']));
    expect(await signEverywhere(next)).toEqual(new Set(['signed']));
  });

  test('a key that was never used and then replaced under its id signs as what it is now', async () => {
    const { version } = writeKey('adopted-key');
    await startSurveyed(1);
    deleteKey('adopted-key');
    const next = writeKey('adopted-key', version.id);

    expect(await signEverywhere(next)).toEqual(new Set(['signed']));
  });

  test('a key that was given another id is not used under its old one', async () => {
    const key = writeKey('adopted-old');
    await startSurveyed(1);
    softHsm.pkcs11Tool(
      ...['--set-id', newId(), '--type', 'secrkey', '--id', key.version.id],
      ...['--label', 'adopted-old'],
    );

    expect(await signEverywhere(key)).toEqual(new Set(['KEY_NOT_FOUND']));
  });

  test('a key whose state was changed before its first use has its new state', async () => {
    const key = writeKey('adopted-key');
    await startSurveyed(1);
    setUsage(softHsm, 'adopted-key', { sign: false, verify: true });

    expect(await signEverywhere(key)).toEqual(new Set(['KEY_STATE_FORBIDS']));
    const verified = await token?.verify([key.version], [{ data: DATA, mac: key.mac }], deadline());
    expect(verified).toEqual([key.version]);
  });

  test('two objects that claim to be one version are refused', async () => {
    const { version } = writeKey('adopted-twice');
    const key = writeKey('adopted-twice', version.id);
    await startSurveyed(2);

    expect(await signEverywhere(key)).toEqual(new Set(['KEY_AMBIGUOUS']));
  });

  test('a handle that has become invalid leads to a search', async () => {
    const key = writeKey('adopted-key');
    await startSurveyed(1);
    await signEverywhere(key);
    const before = searches();
    await shim.control(on('C_SignInit').return('CKR_KEY_HANDLE_INVALID', { times: 1 }));

    expect(await signEverywhere(key)).toEqual(new Set(['signed']));
    expect(searches()).toBe(before + 1);
  });
});

test('a host of which a session has listed all keys does not look at them again', async () => {
  writeKey('adopted-key');
  token = await startOnShim();

  await token.listKeys(undefined, deadline());
  await until(() => searches() === SEARCHES_OF_FIRST_START + 1);
  await sleep(SURVEY_DELAY_MS + 500);

  expect(searches()).toBe(SEARCHES_OF_FIRST_START + 1);
});

describe('a host that is looking at its keys', () => {
  const KEYS = 10;

  /** Starts a host on some keys, each of which takes it so long, and waits until it is at it. */
  async function startSurveying(rule: string): Promise<WrittenKey> {
    const [key] = Array.from({ length: KEYS }, (_, number) => writeKey(`adopted-${number}`));
    await shim.control(rule);
    await start({ warmKeys: 'off' });
    await until(() => searches() === SEARCHES_OF_FIRST_START + 1);
    return key as WrittenKey;
  }

  test('serves meanwhile', async () => {
    const key = await startSurveying(on('C_GetAttributeValue').delay(100));

    expect(await signEverywhere(key)).toEqual(new Set(['signed']));
  });

  test('ends in order when it is stopped', async () => {
    await startSurveying(on('C_GetAttributeValue').delay(500));
    const before = shim.calls('C_Finalize');

    // Less than the rest of the keys would take.
    await token?.close(6_000);

    expect(shim.calls('C_Finalize')).toBe(before + 2);
  });

  test('is killed when the token never answers it', async () => {
    await startSurveying(on('C_GetAttributeValue').hangForever({ skip: 2 * READS_OF_CANARY }));

    const startMs = performance.now();
    await token?.close(500);

    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(processTree(process.pid)).toEqual([process.pid]);
  });

  test('is gone soon after its front, though the token never answers it', async () => {
    writeKey('adopted-key');
    await shim.control(on('C_GetAttributeValue').hangForever({ skip: READS_OF_CANARY }));
    const host = spawn(process.execPath, [HOST_PROGRAM], {
      stdio: ['ignore', 2, 2, 'pipe', 'pipe', 'pipe'],
      env: shim.environment,
    });
    onTestFinished(() => void host.kill('SIGKILL'));
    const message: StartMessage = {
      module: shim.module,
      selector: { label: softHsm.label },
      expectedSerial: undefined,
      pin: { file: softHsm.pinFile, credential: false },
      adopt: [],
      warmKeys: 'off',
      recheckMs: 1_000,
      survey: true,
      sessions: 2,
    };
    const control = host.stdio[CONTROL_FD] as Socket;
    control.write(`${JSON.stringify(message)}\n`);
    await once(control, 'data');
    await until(() => shim.calls('C_GetAttributeValue') > READS_OF_CANARY);

    for (const pipe of host.stdio.slice(CONTROL_FD)) pipe?.destroy();

    await expect(once(host, 'exit')).resolves.toEqual([null, 'SIGKILL']);
  });
});
