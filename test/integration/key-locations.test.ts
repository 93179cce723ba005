import { fork } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { FIRST_LANE_FD, type StartMessage } from '../../src/token-host/host-messages.ts';
import type { HostedToken, HostedTokenOptions } from '../../src/token-host/hosted-token.ts';
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

/** Starts one host, and the one that changes the token. */
async function start(options: Partial<HostedTokenOptions> = {}): Promise<HostedToken> {
  let writers = 0;
  token = await startHostedToken(softHsm, {
    module: shim.module,
    environment: shim.environment,
    hosts: 1,
    sessionsPerHost: SESSIONS,
    onWriterTransition: () => {
      writers += 1;
    },
    ...options,
  });
  await until(() => writers > 0);
  return token;
}

/** As {@link start}, and waits until the host has looked at all keys. */
async function startSurveyed(): Promise<HostedToken> {
  // So that the hosts find a canary key, and search for it once each.
  await (await start()).close(2_000);
  const before = searches();
  const started = await start();
  await until(() => searches() === before + 3);
  for (let calls = -1; calls !== shim.calls('C_GetAttributeValue'); await sleep(100)) {
    calls = shim.calls('C_GetAttributeValue');
  }
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
    await startSurveyed();
    const before = searches();

    const outcomes = await Promise.all(keys.map((key) => signEverywhere(key)));

    expect(outcomes).toEqual(keys.map(() => new Set(['signed'])));
    expect(searches()).toBe(before);
  });

  test('a key that was made since is searched for once, and then known to all sessions', async () => {
    await startSurveyed();
    const key = writeKey('adopted-new');
    const before = searches();

    await (token as HostedToken).findKey('adopted-new', deadline());
    const outcomes = await signEverywhere(key);

    expect(outcomes).toEqual(new Set(['signed']));
    expect(searches()).toBe(before + 1);
  });

  test('a listing tells all sessions of the keys that were made since', async () => {
    await startSurveyed();
    const keys = [writeKey('adopted-a'), writeKey('adopted-b')];
    const before = searches();

    await (token as HostedToken).listKeys(deadline());
    const outcomes = await Promise.all(keys.map((key) => signEverywhere(key)));

    expect(outcomes).toEqual([new Set(['signed']), new Set(['signed'])]);
    expect(searches()).toBe(before + 1);
  });

  test('a key that nobody has looked for is found by the session that uses it', async () => {
    await startSurveyed();
    const key = writeKey('adopted-new');

    expect(await signEverywhere(key)).toEqual(new Set(['signed']));
  });

  test('a key that was deleted is not found, and the one of another id in its place is', async () => {
    const old = writeKey('adopted-key');
    await startSurveyed();
    deleteKey('adopted-key');
    const next = writeKey('adopted-key');

    expect(await signEverywhere(old)).toEqual(new Set(['KEY_NOT_FOUND']));
    expect(await signEverywhere(next)).toEqual(new Set(['signed']));
  });

  test('a key that was never used and then replaced under its id signs as what it is now', async () => {
    const { version } = writeKey('adopted-key');
    await startSurveyed();
    deleteKey('adopted-key');
    const next = writeKey('adopted-key', version.id);

    expect(await signEverywhere(next)).toEqual(new Set(['signed']));
  });

  test('a key that was given another id is not used under its old one', async () => {
    const key = writeKey('adopted-old');
    await startSurveyed();
    softHsm.pkcs11Tool(
      ...['--set-id', newId(), '--type', 'secrkey', '--id', key.version.id],
      ...['--label', 'adopted-old'],
    );

    expect(await signEverywhere(key)).toEqual(new Set(['KEY_NOT_FOUND']));
  });

  test('a key whose state was changed before its first use has its new state', async () => {
    const key = writeKey('adopted-key');
    await startSurveyed();
    setUsage(softHsm, 'adopted-key', { sign: false, verify: true });

    expect(await signEverywhere(key)).toEqual(new Set(['KEY_STATE_FORBIDS']));
    const verified = await token?.verify([key.version], [{ data: DATA, mac: key.mac }], deadline());
    expect(verified).toEqual([key.version]);
  });

  test('two objects that claim to be one version are refused', async () => {
    const { version } = writeKey('adopted-twice');
    const key = writeKey('adopted-twice', version.id);
    await startSurveyed();

    expect(await signEverywhere(key)).toEqual(new Set(['KEY_AMBIGUOUS']));
  });

  test('a handle that has become invalid leads to a search', async () => {
    const key = writeKey('adopted-key');
    await startSurveyed();
    await signEverywhere(key);
    const before = searches();
    await shim.control(on('C_SignInit').return('CKR_KEY_HANDLE_INVALID', { times: 1 }));

    expect(await signEverywhere(key)).toEqual(new Set(['signed']));
    expect(searches()).toBe(before + 1);
  });
});

describe('a host that is looking at its keys', () => {
  // Two calls to read a key, so that twenty of them take longer than a host gets for its end.
  const SLOW_MS = 100;

  test('serves meanwhile', async () => {
    const [key] = Array.from({ length: 20 }, (_, number) => writeKey(`adopted-${number}`));
    await shim.control(on('C_GetAttributeValue').delay(SLOW_MS));
    await start();

    expect(await signEverywhere(key as WrittenKey)).toEqual(new Set(['signed']));
  });

  test('ends in order when it is stopped', async () => {
    for (let number = 0; number < 20; number++) writeKey(`adopted-${number}`);
    await shim.control(on('C_GetAttributeValue').delay(SLOW_MS));
    const before = shim.calls('C_Finalize');
    await start();

    await token?.close(2_000);

    expect(shim.calls('C_Finalize')).toBe(before + 2);
  });

  test('is killed when the token never answers it', async () => {
    writeKey('adopted-key');
    await shim.control(on('C_GetAttributeValue').hangForever());
    await start({ warmKeys: 'off' });

    const startMs = performance.now();
    await token?.close(500);

    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(processTree(process.pid)).toEqual([process.pid]);
  });

  test('is gone soon after its front, though the token never answers it', async () => {
    writeKey('adopted-key');
    await shim.control(on('C_GetAttributeValue').hangForever());
    const host = fork(HOST_PROGRAM, {
      stdio: ['ignore', 2, 2, 'ipc', 'pipe', 'pipe'],
      env: shim.environment,
      execArgv: [],
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
    host.send(message);
    await once(host, 'message');

    host.disconnect();
    for (const pipe of host.stdio.slice(FIRST_LANE_FD)) pipe?.destroy();

    await expect(once(host, 'exit')).resolves.toEqual([null, 'SIGKILL']);
  });
});
