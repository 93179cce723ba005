import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { KeyVersion } from '../../src/domain/key.ts';
import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { connectToken, type TokenConnection } from '../../src/pkcs11/token-connection.ts';
import { TokenLost } from '../../src/pkcs11/token-lost.ts';
import { TokenSession } from '../../src/pkcs11/token-session.ts';
import { deadline, FaultyToken, type Outcome, type RunningToken } from '../support/faulty-token.ts';
import { setUsage } from '../support/key-editor.ts';
import { verifyOne } from '../support/one-message.ts';
import { on, type ReturnCode } from '../support/pkcs11-shim.ts';

/** Where in a call a code comes from: instead of the real function's work, or after it. */
interface Position {
  readonly name: 'C_SignInit' | 'C_Sign';
  readonly when: 'does nothing' | 'does its work';
}

const POSITIONS: readonly Position[] = [
  { name: 'C_SignInit', when: 'does nothing' },
  { name: 'C_SignInit', when: 'does its work' },
  { name: 'C_Sign', when: 'does nothing' },
  { name: 'C_Sign', when: 'does its work' },
];

/** Has the next call of a function answer a code. */
function answerOnce({ name, when }: Position, code: ReturnCode): string {
  const rule = on(name);
  return when === 'does nothing'
    ? rule.return(code, { times: 1 })
    : rule.returnAfter(code, { times: 1 });
}

const CKR_ACTION_PROHIBITED = 0x1b;
const VENDOR_CODE = 0x8000_0123;
const UNKNOWN_CODE = 0x7777;

/** What a caller is told when one call inside the module answers the code. */
const ANSWERS: readonly (readonly [ReturnCode, Outcome])[] = [
  ['CKR_KEY_SIZE_RANGE', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_KEY_TYPE_INCONSISTENT', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_MECHANISM_INVALID', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_MECHANISM_PARAM_INVALID', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_ATTRIBUTE_READ_ONLY', 'TOKEN_REFUSED'],
  ['CKR_ATTRIBUTE_SENSITIVE', 'TOKEN_REFUSED'],
  ['CKR_ATTRIBUTE_TYPE_INVALID', 'TOKEN_REFUSED'],
  ['CKR_ATTRIBUTE_VALUE_INVALID', 'TOKEN_REFUSED'],
  ['CKR_TEMPLATE_INCOMPLETE', 'TOKEN_REFUSED'],
  ['CKR_TEMPLATE_INCONSISTENT', 'TOKEN_REFUSED'],
  ['CKR_TOKEN_WRITE_PROTECTED', 'TOKEN_REFUSED'],
  [CKR_ACTION_PROHIBITED, 'TOKEN_REFUSED'],
  ['CKR_SESSION_COUNT', 'POOL_SATURATED'],
  ['CKR_DEVICE_ERROR', 'TOKEN_UNAVAILABLE'],
  ['CKR_GENERAL_ERROR', 'TOKEN_UNAVAILABLE'],
  ['CKR_FUNCTION_FAILED', 'TOKEN_UNAVAILABLE'],
  ['CKR_SIGNATURE_INVALID', 'TOKEN_UNAVAILABLE'],
  ['CKR_SIGNATURE_LEN_RANGE', 'TOKEN_UNAVAILABLE'],
  [VENDOR_CODE, 'TOKEN_UNAVAILABLE'],
  [UNKNOWN_CODE, 'TOKEN_UNAVAILABLE'],
  // Tried once more on a new session, or with the key found anew.
  ['CKR_SESSION_CLOSED', 'signed'],
  ['CKR_SESSION_HANDLE_INVALID', 'signed'],
  ['CKR_OPERATION_ACTIVE', 'signed'],
  ['CKR_OPERATION_NOT_INITIALIZED', 'signed'],
  ['CKR_FUNCTION_CANCELED', 'signed'],
  ['CKR_DEVICE_MEMORY', 'signed'],
  ['CKR_OBJECT_HANDLE_INVALID', 'signed'],
  ['CKR_KEY_HANDLE_INVALID', 'signed'],
  ['CKR_KEY_FUNCTION_NOT_PERMITTED', 'signed'],
];

const PIN_CODES = [
  'CKR_PIN_INCORRECT',
  'CKR_PIN_INVALID',
  'CKR_PIN_LEN_RANGE',
  'CKR_PIN_EXPIRED',
  'CKR_PIN_LOCKED',
  'CKR_USER_PIN_NOT_INITIALIZED',
] as const;

/** Codes of a process that is of no use any more: another host does the work. */
const FATAL_CODES = [
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_DEVICE_REMOVED',
  'CKR_TOKEN_NOT_PRESENT',
  'CKR_TOKEN_NOT_RECOGNIZED',
  'CKR_SLOT_ID_INVALID',
  'CKR_CRYPTOKI_NOT_INITIALIZED',
  ...PIN_CODES,
] as const;

let faulty: FaultyToken;

beforeAll(() => {
  faulty = new FaultyToken();
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

/** What became of one case of many. */
interface CaseOutcome {
  readonly code: ReturnCode;
  readonly answer: Outcome;
  /** How many calls inside the module were spoilt. */
  readonly faults: number;
  /** How the next calls ended. */
  readonly afterwards: Partial<Record<Outcome, number>>;
}

async function tryCode(
  running: RunningToken,
  position: Position,
  code: ReturnCode,
): Promise<CaseOutcome> {
  const faults = faulty.shim.faults(position.name);
  await faulty.shim.control(answerOnce(position, code));
  const answer = await running.sign();
  const afterwards = await running.signMany(40);
  return { code, answer, faults: faulty.shim.faults(position.name) - faults, afterwards };
}

const TITLED_POSITIONS = POSITIONS.map((position) => {
  return [position.name, position.when, position] as const;
});

describe.each(TITLED_POSITIONS)('a code of %s, which %s', (_name, _when, position) => {
  test('fault 2 [shim]: each code has its answer, and the next calls on every session are right', async () => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 2, warmKeys: 'on' });

    const outcomes: CaseOutcome[] = [];
    for (const [code] of ANSWERS) outcomes.push(await tryCode(running, position, code));

    expect(outcomes).toEqual(
      ANSWERS.map(([code, answer]) => ({ code, answer, faults: 1, afterwards: { signed: 40 } })),
    );
    expect(running.hosts.size).toBe(1);
  });
});

describe('a code that ends the use of a process', () => {
  let connection: TokenConnection;
  let session: TokenSession;
  let version: KeyVersion;

  beforeAll(() => {
    Object.assign(process.env, faulty.shim.environment);
    connection = connectToken({
      module: faulty.shim.module,
      selector: { label: faulty.softHsm.label },
      expectedSerial: undefined,
      pin: { file: faulty.softHsm.pinFile, credential: false },
      warmKeys: 'off',
    });
    session = new TokenSession({
      slot: connection.slot,
      canaryMac: connection.canaryMac,
      locations: new KeyLocations(),
      adopt: [{ label: 'adopted-*', algorithm: 'HMAC_SHA256' }],
      warmKeys: undefined,
    });
    version = session.findKey('adopted-key')?.versions[0] as KeyVersion;
  });

  afterAll(() => {
    session?.close();
    connection?.close();
  });

  const cases = TITLED_POSITIONS.flatMap((position) =>
    FATAL_CODES.map((code) => [code, ...position] as const),
  );

  test.each(cases)('says so: %s of %s, which %s', async (code, _name, _when, position) => {
    await faulty.shim.control(answerOnce(position, code));

    const signing = () => session.sign(version, [Buffer.from('data')]);

    expect(signing).toThrow(TokenLost);
  });

  test('fault 2 [shim]: a code that ends the use of a process has the answer of another host', async () => {
    const codes = FATAL_CODES.slice(0, POSITIONS.length);
    const running = await faulty.start({ hosts: codes.length, sessionsPerHost: 1 });
    const outcomes: CaseOutcome[] = [];
    for (const [index, position] of POSITIONS.entries()) {
      const before = new Set(running.hosts);
      outcomes.push(await tryCode(running, position, codes[index] as ReturnCode));
      await running.hostsReplaced(before);
    }

    expect(outcomes).toEqual(
      codes.map((code) => ({ code, answer: 'signed', faults: 1, afterwards: { signed: 40 } })),
    );
  });
});

test('fault 2 [shim]: a code that comes twice has the answer that the table says', async () => {
  const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
  const before = new Set(running.hosts);
  const answers: Outcome[] = [];

  for (const code of [
    'CKR_SESSION_CLOSED',
    'CKR_DEVICE_MEMORY',
    'CKR_KEY_HANDLE_INVALID',
    'CKR_KEY_FUNCTION_NOT_PERMITTED',
  ] as const) {
    await faulty.shim.control(on('C_SignInit').return(code, { times: 2 }));
    answers.push(await running.sign());
  }

  expect(answers).toEqual([
    'TOKEN_UNAVAILABLE',
    'TOKEN_FULL',
    'KEY_NOT_FOUND',
    'KEY_STATE_FORBIDS',
  ]);
  expect(await running.signMany(20)).toEqual({ signed: 20 });
  expect(running.hosts).toEqual(before);
});

test('fault 2 [shim]: a code that the canary key has too is answered by another host', async () => {
  const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
  const before = new Set(running.hosts);
  await faulty.shim.control(on('C_Sign').return('CKR_DEVICE_ERROR', { times: 3 }));

  expect(await running.sign()).toBe('signed');

  await running.hostsReplaced(before);
});

test('fault 2 [shim]: a code that the canary key has once costs its call alone, and no host', async () => {
  const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
  const before = new Set(running.hosts);
  await faulty.shim.control(on('C_Sign').return('CKR_DEVICE_ERROR', { times: 2 }));

  expect(await running.sign()).toBe('TOKEN_UNAVAILABLE');

  expect(await running.signMany(20)).toEqual({ signed: 20 });
  expect(running.hosts).toEqual(before);
});

describe('a code of C_Verify', () => {
  test.each(['CKR_SIGNATURE_INVALID', 'CKR_SIGNATURE_LEN_RANGE'] as const)(
    'says that the MAC is not valid: %s',
    async (code) => {
      const label = `adopted-${code}`;
      const value = randomBytes(32);
      faulty.softHsm.writeKey({ label, value });
      setUsage(faulty.softHsm, label, { sign: false, verify: true });
      const { token } = await faulty.start({ hosts: 1 });
      const version = (await token.findKey(label, deadline()))?.versions[0] as KeyVersion;
      const data = Buffer.from('data');
      const mac = createHmac('sha256', value).update(data).digest();
      await faulty.shim.control(on('C_Verify').return(code, { times: 1 }));

      const verified = await verifyOne(token, [version], data, mac, deadline());

      expect(verified).toBeUndefined();
      expect(await verifyOne(token, [version], data, mac, deadline())).toEqual(version);
    },
  );
});

test.each(PIN_CODES)('a PIN that C_Login answers with %s is tried once', async (code) => {
  const logins = faulty.shim.calls('C_Login');
  await faulty.shim.control(on('C_Login').return(code));

  const starting = faulty.start();

  await expect(starting).rejects.toMatchObject({ kind: 'wrong-pin' });
  expect(faulty.shim.calls('C_Login')).toBe(logins + 1);
});
