import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pkcs11js from 'pkcs11js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CryptokiProcess, SHA256_HMAC } from '../support/cryptoki-process.ts';
import { on, type Pkcs11Shim, pkcs11Shim, setting } from '../support/pkcs11-shim.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const {
  CKR_ARGUMENTS_BAD,
  CKR_DEVICE_ERROR,
  CKR_DEVICE_REMOVED,
  CKR_KEY_HANDLE_INVALID,
  CKR_OK,
  CKR_OPERATION_ACTIVE,
  CKR_OPERATION_NOT_INITIALIZED,
  CKR_SESSION_COUNT,
  CKR_SESSION_HANDLE_INVALID,
  CKR_USER_NOT_LOGGED_IN,
} = pkcs11js;

const value = randomBytes(32);
const otherValue = randomBytes(32);
const data = Buffer.from('data');

let softHsm: SoftHsm;
let shim: Pkcs11Shim;
/** It serves one test after another, unless it ends. */
let shared: CryptokiProcess | undefined;

beforeAll(() => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: 'key', value });
  softHsm.writeKey({ label: 'other-key', value: otherValue });
  shim = pkcs11Shim(softHsm);
});

afterEach(async () => {
  await shim.control();
  if (shared?.ended) shared = undefined;
  await shared?.returnValue('C_Finalize');
});

afterAll(async () => {
  await shared?.kill();
  softHsm?.remove();
});

/** A process that has not initialised the module. */
function startProcess(): CryptokiProcess {
  shared ??= new CryptokiProcess(shim);
  return shared;
}

/** A process with a session that is logged in, and a key. */
async function startUser(process = startProcess()) {
  await process.initialize();
  const session = await process.openSession();
  await process.call('C_Login', session, pkcs11js.CKU_USER, softHsm.pin);
  const key = await process.findKey(session, 'key');
  return { process, session, key };
}

function macOf(key: Buffer): string {
  return createHmac('sha256', key).update(data).digest('hex');
}

/** A function that needs nothing and changes nothing. */
function askSession(process: CryptokiProcess, session: Buffer): Promise<number> {
  return process.returnValue('C_GetSessionInfo', session);
}

/** The numbers of those of some calls, from 1, that failed. */
async function failuresOf(process: CryptokiProcess, session: Buffer, calls: number) {
  const failures: number[] = [];
  for (let call = 1; call <= calls; call++) {
    if ((await askSession(process, session)) !== CKR_OK) failures.push(call);
  }
  return failures;
}

describe('without lines', () => {
  test('makes the same MACs as the real module, and counts the calls', async () => {
    const { process, session, key } = await startUser();
    const before = shim.calls('C_Sign');

    const mac = await process.sign(session, key, data);

    expect(mac.toString('hex')).toBe(macOf(value));
    expect(shim.calls('C_Sign')).toBe(before + 1);
    expect(shim.faults('C_Sign')).toBe(0);
  });

  test("passes pkcs11-tool's own tests as the real module does", () => {
    const run = (module: string) =>
      execFileSync('pkcs11-tool', ['--module', module, '--test', '--login', '--pin', softHsm.pin], {
        env: shim.environment,
        encoding: 'utf8',
        stdio: 'pipe',
      });

    expect(run(shim.module)).toBe(run(softHsm.module));
  });
});

describe('a rule', () => {
  test.each([
    ['', [1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['times 2', [1, 2]],
    ['skip 7', [8, 9]],
    ['every 4', [4, 8]],
    ['skip 2 every 3 times 2', [5, 8]],
    ['chance 0', []],
    ['chance 1', [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ])('acts on the calls that its options say: "%s"', async (options, expected) => {
    const { process, session } = await startUser();
    await shim.control(`C_GetSessionInfo return CKR_DEVICE_ERROR ${options}`);

    const failures = await failuresOf(process, session, 9);

    expect(failures).toEqual(expected);
  });

  test('acts by chance on the same calls whenever the seed is the same', async () => {
    const { process, session } = await startUser();
    const run = async (seed: number) => {
      await shim.control(
        setting.seed(seed),
        on('C_GetSessionInfo').return('CKR_DEVICE_ERROR', { chance: 0.3 }),
      );
      return failuresOf(process, session, 200);
    };

    const first = await run(7);
    const again = await run(7);
    const other = await run(8);

    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
    expect(first.length).toBeGreaterThan(30);
    expect(first.length).toBeLessThan(90);
  });

  test('counts the calls of all processes together', async () => {
    const one = await startUser();
    const two = await startUser(new CryptokiProcess(shim));
    await shim.control(on('C_GetSessionInfo').return('CKR_DEVICE_ERROR', { times: 3 }));

    const failures = [
      ...(await failuresOf(one.process, one.session, 2)),
      ...(await failuresOf(two.process, two.session, 9)),
    ];
    await two.process.kill();

    expect(failures).toEqual([1, 2, 1]);
  });

  test.each([
    ['CKR_DEVICE_ERROR', CKR_DEVICE_ERROR],
    [0x8000_0123, 0x8000_0123],
    [0x1b, 0x1b],
  ] as const)('answers %s without making the call', async (code, expected) => {
    const { process, session, key } = await startUser();
    await shim.control(on('C_SignInit').return(code, { times: 1 }));

    const answer = await process.returnValue('C_SignInit', session, SHA256_HMAC, key);

    expect(answer).toBe(expected);
    await expect(process.call('C_Sign', session, data, Buffer.alloc(64))).rejects.toMatchObject({
      code: CKR_OPERATION_NOT_INITIALIZED,
    });
  });

  test('makes the call and loses its answer', async () => {
    const { process, session, key } = await startUser();
    await shim.control(on('C_SignInit').returnAfter('CKR_DEVICE_ERROR', { times: 1 }));

    const answer = await process.returnValue('C_SignInit', session, SHA256_HMAC, key);

    expect(answer).toBe(CKR_DEVICE_ERROR);
    expect(await process.returnValue('C_SignInit', session, SHA256_HMAC, key)).toBe(
      CKR_OPERATION_ACTIVE,
    );
  });

  test('is for all functions of a token with "*"', async () => {
    const { process, session, key } = await startUser();
    await shim.control(on('*').return('CKR_DEVICE_ERROR'));

    expect(await process.returnValue('C_SignInit', session, SHA256_HMAC, key)).toBe(
      CKR_DEVICE_ERROR,
    );
    expect(await process.returnValue('C_GetSlotList', true)).toBe(CKR_DEVICE_ERROR);
    expect(await process.returnValue('C_GetInfo')).toBe(CKR_OK);
    expect(await process.returnValue('C_Finalize')).toBe(CKR_OK);
  });

  test('makes calls take longer, with jitter, and adds up how much', async () => {
    const { process, session } = await startUser();
    await shim.control(on('C_GetSessionInfo').delay(10, { jitter: 20 }));
    const faults = shim.faults('C_GetSessionInfo');
    const delayMs = shim.delayMs('C_GetSessionInfo');

    const startMs = performance.now();
    const failures = await failuresOf(process, session, 20);
    const tookMs = performance.now() - startMs;

    expect(failures).toEqual([]);
    // The jitter of 20 calls with the first seed is 10 ms on average, or nearly so.
    expect(tookMs).toBeGreaterThan(20 * (10 + 7));
    expect(shim.faults('C_GetSessionInfo')).toBe(faults);
    const addedMs = shim.delayMs('C_GetSessionInfo') - delayMs;
    expect(addedMs).toBeGreaterThan(20 * (10 + 7));
    expect(addedMs).toBeLessThan(tookMs);
  });

  test('holds a call until the control file changes', async () => {
    const { process, session } = await startUser();
    await shim.control(on('C_GetSessionInfo').hang());
    let answered = false;

    const call = askSession(process, session).finally(() => {
      answered = true;
    });
    await sleep(50);
    const wasAnswered = answered;
    await shim.control();

    expect(await call).toBe(CKR_OK);
    expect(wasAnswered).toBe(false);
  });

  test('holds a call for ever', async () => {
    const { process, session } = await startUser();
    await shim.control(on('C_GetSessionInfo').hangForever());
    let answered = false;

    const call = askSession(process, session).finally(() => {
      answered = true;
    });
    await sleep(50);
    await shim.control();
    await sleep(50);

    expect(answered).toBe(false);
    await process.kill();
    await expect(call).rejects.toThrow('SIGKILL');
  });

  test.each([
    ['abort', on('C_Sign').abort(), 'SIGABRT'],
    ['segfault', on('C_Sign').segfault(), 'SIGSEGV'],
    ['exit', on('C_Sign').exit(3), 3],
  ])('ends the process: %s', async (_, line, expected) => {
    const { process, session, key } = await startUser();
    await shim.control(line);

    const signing = process.sign(session, key, data);

    await expect(signing).rejects.toThrow('ended by');
    expect(await process.exited).toBe(expected);
  });

  test('spoils a MAC: a bit is wrong', async () => {
    const { process, session, key } = await startUser();
    await shim.control(on('C_Sign').flipBit({ times: 1 }));

    const mac = await process.sign(session, key, data);

    mac[0] = (mac[0] as number) ^ 1;
    expect(mac.toString('hex')).toBe(macOf(value));
    expect((await process.sign(session, key, data)).toString('hex')).toBe(macOf(value));
  });

  test('spoils a MAC: it is too short', async () => {
    const { process, session, key } = await startUser();
    await shim.control(on('C_Sign').shorten(12));

    const mac = await process.sign(session, key, data);

    expect(mac.toString('hex')).toBe(macOf(value).slice(0, 40));
  });

  test('gives a key the handle of another one', async () => {
    const { process, session, key } = await startUser();
    await shim.control(on('C_SignInit').useKey('other-key', { times: 1 }));

    const mac = await process.sign(session, key, data);

    expect(mac.toString('hex')).toBe(macOf(otherValue));
    expect((await process.sign(session, key, data)).toString('hex')).toBe(macOf(value));
  });
});

describe('a session', () => {
  test('that the token has dropped stays dropped, alone', async () => {
    const { process, session } = await startUser();
    const other = await process.openSession();
    await shim.control(on('C_GetSessionInfo').loseSession({ times: 1 }));

    const first = await askSession(process, session);
    await shim.control();

    expect(first).toBe(CKR_SESSION_HANDLE_INVALID);
    expect(await askSession(process, session)).toBe(CKR_SESSION_HANDLE_INVALID);
    expect(await askSession(process, other)).toBe(CKR_OK);
    await process.findKey(other, 'key');
    expect(await process.returnValue('C_CloseSession', session)).toBe(CKR_SESSION_HANDLE_INVALID);
  });

  test('is dropped with all others, and the login with them', async () => {
    const { process, session } = await startUser();
    await shim.control(setting.loseSessions());
    expect(await askSession(process, session)).toBe(CKR_SESSION_HANDLE_INVALID);

    const fresh = await process.openSession();

    await expect(process.findKey(fresh, 'key')).rejects.toMatchObject({
      code: CKR_USER_NOT_LOGGED_IN,
    });
    await process.call('C_Login', fresh, pkcs11js.CKU_USER, softHsm.pin);
    const key = await process.findKey(fresh, 'key');
    expect((await process.sign(fresh, key, data)).toString('hex')).toBe(macOf(value));
  });

  test('loses its login when the token forgets it', async () => {
    const { process, session, key } = await startUser();
    await shim.control(setting.logOut());

    const signing = process.sign(session, key, data);

    await expect(signing).rejects.toMatchObject({ code: CKR_USER_NOT_LOGGED_IN });
    expect(await askSession(process, session)).toBe(CKR_OK);
    await process.call('C_Login', session, pkcs11js.CKU_USER, softHsm.pin);
    expect((await process.sign(session, key, data)).toString('hex')).toBe(macOf(value));
  });

  test('is one of as many as the token allows', async () => {
    const { process, session } = await startUser();
    await shim.control(setting.sessionLimit(2));

    await process.openSession();

    await expect(process.openSession()).rejects.toMatchObject({ code: CKR_SESSION_COUNT });
    await process.call('C_CloseSession', session);
    await expect(process.openSession()).resolves.toBeDefined();
  });

  test('is dropped when it has been idle for too long', async () => {
    const { process, session } = await startUser();
    const busy = await process.openSession();
    await shim.control(setting.idleLimit(1_000));

    for (let round = 0; round < 6; round++) {
      await sleep(200);
      expect(await askSession(process, busy)).toBe(CKR_OK);
    }

    expect(await askSession(process, session)).toBe(CKR_SESSION_HANDLE_INVALID);
    await process.findKey(busy, 'key');
  });
});

test('removes the token and puts it back', async () => {
  const { process, session, key } = await startUser();
  await shim.control(setting.removeToken('CKR_DEVICE_REMOVED'));
  expect(await process.returnValue('C_SignInit', session, SHA256_HMAC, key)).toBe(
    CKR_DEVICE_REMOVED,
  );
  expect(await process.call('C_GetSlotList', true)).toEqual([]);
  await expect(process.openSession()).rejects.toMatchObject({ code: CKR_DEVICE_REMOVED });

  await shim.control();

  expect(await askSession(process, session)).toBe(CKR_SESSION_HANDLE_INVALID);
  const fresh = await process.openSession();
  await process.call('C_Login', fresh, pkcs11js.CKU_USER, softHsm.pin);
  const found = await process.findKey(fresh, 'key');
  expect((await process.sign(fresh, found, data)).toString('hex')).toBe(macOf(value));
});

describe('a control file with an error', () => {
  test.each([
    ['C_Sing return CKR_OK', '"C_Sing" is no function'],
    ['C_Sign', 'it says nothing'],
    ['C_Sign fail CKR_OK', '"fail" is no action'],
    ['C_Sign return CKR_OKAY', '"CKR_OKAY" is no return value'],
    ['C_Sign return', 'a return value is missing'],
    ['C_Sign return CKR_OK time 3', '"time" is no option'],
    ['C_Sign return CKR_OK jitter 3', '"jitter" is no option'],
    ['C_Sign return CKR_OK times 0', 'times: "0"'],
    ['C_Sign return CKR_OK times', 'times needs a number'],
    ['C_Sign return CKR_OK chance 1.5', 'chance: "1.5"'],
    ['C_Sign delay -1', 'delay: "-1"'],
    ['C_Sign delay 1ms', 'delay: "1ms"'],
    ['C_Login flip-bit', 'that cannot be done to C_Login'],
    ['C_OpenSession lose-session', 'that cannot be done to C_OpenSession'],
    ['C_Sign,, return CKR_OK', '"" is no function'],
    ['lose-sessions now', '"now" is too much'],
    ['session-limit few', 'session-limit: "few"'],
  ])('initialises nothing and says why: %s', async (line, message) => {
    await shim.control('# a comment', '', line);
    const process = startProcess();

    const answer = await process.returnValue('C_Initialize');

    expect(answer).toBe(CKR_ARGUMENTS_BAD);
    await expect.poll(() => process.stderr).toContain(`shim.control:3: ${message}`);
  });

  test('lets no call pass in a process that runs, until it is mended', async () => {
    const { process, session } = await startUser();

    await shim.control('mistake');
    const answer = await askSession(process, session);
    await shim.control();

    expect(answer).toBe(CKR_ARGUMENTS_BAD);
    expect(await askSession(process, session)).toBe(CKR_OK);
  });
});

test('passes everything on when the control file is gone', async () => {
  const { process, session } = await startUser();
  await shim.control(on('*').return('CKR_KEY_HANDLE_INVALID'));
  expect(await askSession(process, session)).toBe(CKR_KEY_HANDLE_INVALID);

  const control = join(softHsm.directory, 'shim.control');
  renameSync(control, `${control}.away`);
  await sleep(10);

  expect(await askSession(process, session)).toBe(CKR_OK);
});
