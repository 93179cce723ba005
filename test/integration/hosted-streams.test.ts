import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { TokenStream } from '../../src/service/token-values.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { deadline, FaultyToken, type RunningToken } from '../support/faulty-token.ts';
import { setUsage } from '../support/key-editor.ts';
import { on, type Pkcs11Shim, type ReturnCode, setting } from '../support/pkcs11-shim.ts';
import { until } from '../support/wait.ts';

const PIECE = Buffer.alloc(1_000, 1);
const VALUE = randomBytes(32);
const LONG_MS = 60_000;

let faulty: FaultyToken;
let shim: Pkcs11Shim;

beforeAll(() => {
  faulty = new FaultyToken();
  shim = faulty.shim;
  faulty.softHsm.writeKey({ label: 'adopted-known', value: VALUE });
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

async function knownVersion({ token }: RunningToken): Promise<KeyVersion> {
  const key = await token.findKey('adopted-known', deadline());
  return key?.versions[0] as KeyVersion;
}

async function createKey(token: HostedToken, name: string, version = 1): Promise<KeyVersion> {
  const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
  const wanted = { name, algorithm: 'HMAC_SHA256', id } as const;
  const make = version === 1 ? token.createKey(wanted, deadline(LONG_MS)) : undefined;
  const key = await (make ?? token.createVersion(wanted, deadline(LONG_MS)));
  return key.versions[0] as KeyVersion;
}

function macOf(...pieces: readonly Uint8Array[]): Buffer {
  return createHmac('sha256', VALUE).update(Buffer.concat(pieces)).digest();
}

function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

async function signPieces(
  token: HostedToken,
  version: KeyVersion,
  ...pieces: readonly Uint8Array[]
): Promise<Buffer> {
  const stream = await token.signStream(version, deadline(LONG_MS));
  try {
    for (const piece of pieces) await stream.update(piece);
    return Buffer.from(await stream.finish());
  } finally {
    stream.abandon();
  }
}

/** How many sessions the hosts have open. */
function sessions(): number {
  const opened = shim.calls('C_OpenSession') - shim.faults('C_OpenSession');
  return opened - shim.calls('C_CloseSession');
}

async function expectSessions(count: number): Promise<void> {
  await expect.poll(sessions, { timeout: LONG_MS }).toBe(count);
}

test('makes the right MAC, in whatever pieces a message comes', async () => {
  const running = await faulty.start();
  const version = await knownVersion(running);
  const pieces = fc.array(fc.uint8Array({ maxLength: 2_000 }), { maxLength: 20 });

  await fc.assert(
    fc.asyncProperty(pieces, async (message) => {
      const mac = await signPieces(running.token, version, ...message);
      expect(mac.equals(macOf(...message))).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('fifty streams at once, beside other calls, are all right, and leave no session', async () => {
  const running = await faulty.start({ sessionsPerHost: 4 });
  const version = await knownVersion(running);
  const before = sessions();
  let isOver = false;
  const load = Array.from({ length: 8 }, async () => {
    while (!isOver) expect(await running.sign()).toBe('signed');
  });

  const streams = Array.from({ length: 50 }, async () => {
    const pieces = Array.from({ length: 20 }, () => randomBytes(30_000));
    const mac = await signPieces(running.token, version, ...pieces);
    return mac.equals(macOf(...pieces));
  });
  const right = await Promise.all(streams);
  isOver = true;
  await Promise.all(load);

  expect(new Set(right)).toEqual(new Set([true]));
  await expectSessions(before);
});

test('other calls are served while streams keep all lanes at work', async () => {
  const running = await faulty.start({ hosts: 1, sessionsPerHost: 2 });
  const version = await knownVersion(running);
  let isOver = false;
  const streams = Array.from({ length: 6 }, async () => {
    const stream = await running.token.signStream(version, deadline(LONG_MS));
    while (!isOver) await stream.update(Buffer.alloc(65_536));
    return stream.finish();
  });

  for (let batch = 0; batch < 10; batch++) {
    expect(await running.signMany(20)).toEqual({ signed: 20 });
    await running.findKey();
    await running.token.probe(deadline());
  }
  isOver = true;
  await Promise.all(streams);
});

describe('a code of the module', () => {
  const CODES: readonly (readonly [ReturnCode, string])[] = [
    ['CKR_KEY_FUNCTION_NOT_PERMITTED', 'KEY_STATE_FORBIDS'],
    ['CKR_MECHANISM_INVALID', 'ALGORITHM_UNSUPPORTED'],
    ['CKR_DEVICE_MEMORY', 'TOKEN_FULL'],
    ['CKR_DEVICE_ERROR', 'TOKEN_UNAVAILABLE'],
    ['CKR_OPERATION_NOT_INITIALIZED', 'TOKEN_UNAVAILABLE'],
    ['CKR_SESSION_HANDLE_INVALID', 'TOKEN_UNAVAILABLE'],
    [0x8000_0123, 'TOKEN_UNAVAILABLE'],
  ];

  test.each(CODES)('%s ends a stream with %s, and no other', async (code, reason) => {
    const running = await faulty.start({ hosts: 1 });
    const version = await knownVersion(running);
    const before = sessions();
    for (const name of ['C_SignUpdate', 'C_SignFinal'] as const) {
      const updates = shim.calls('C_SignUpdate');
      const other = await running.token.signStream(version, deadline(LONG_MS));
      await other.update(PIECE);
      await until(() => shim.calls('C_SignUpdate') > updates);
      await shim.control(on(name).return(code, { times: 1 }));

      const failed = await outcomeOf(signPieces(running.token, version, PIECE, PIECE));
      await shim.control();

      expect(failed).toBe(reason);
      expect(Buffer.from(await other.finish()).equals(macOf(PIECE))).toBe(true);
      await expectSessions(before);
    }
  });

  test('that says the token is gone replaces the host', async () => {
    const running = await faulty.start({ hosts: 1 });
    const version = await knownVersion(running);
    const before = new Set(running.hosts);
    await shim.control(on('C_SignUpdate').return('CKR_DEVICE_REMOVED', { times: 1 }));

    expect(await outcomeOf(signPieces(running.token, version, PIECE))).toBe('TOKEN_UNAVAILABLE');

    await running.hostsReplaced(before);
    expect(await signPieces(running.token, version, PIECE)).toEqual(macOf(PIECE));
  });

  test('in C_SignInit is met once more, on a new session', async () => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    const version = await knownVersion(running);
    await signPieces(running.token, version, PIECE);
    await shim.control(on('C_SignInit').return('CKR_SESSION_CLOSED', { times: 1 }));

    expect(await signPieces(running.token, version, PIECE)).toEqual(macOf(PIECE));
  });

  test('or a MAC of the wrong length gives no signature', async () => {
    const running = await faulty.start({ hosts: 1 });
    const version = await knownVersion(running);
    await shim.control(on('C_SignFinal').shorten(4, { times: 1 }));

    expect(await outcomeOf(signPieces(running.token, version, PIECE))).toBe('TOKEN_UNAVAILABLE');
  });
});

describe('sessions', () => {
  test('of which the token has no more are asked for in vain, until a stream ends', async () => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    const version = await knownVersion(running);
    // The keeper, the lane's own, and one more.
    await shim.control(setting.sessionLimit(3));

    const stream = await running.token.signStream(version, deadline());
    const refused = await outcomeOf(running.token.signStream(version, deadline()));
    await stream.finish();

    expect(refused).toBe('POOL_SATURATED');
    expect(await signPieces(running.token, version, PIECE)).toEqual(macOf(PIECE));
  });

  test('of a verification that cannot have all that it needs are given back', async () => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    const versions = [await createKey(running.token, 'many'), await knownVersion(running)];
    await running.token.sign(versions[0] as KeyVersion, [PIECE], deadline());
    const before = sessions();
    await shim.control(setting.sessionLimit(3));

    const refused = await outcomeOf(
      running.token.verifyStream(versions, randomBytes(32), deadline()),
    );

    expect(refused).toBe('POOL_SATURATED');
    await expectSessions(before);
  });

  test('are given back when a caller leaves, at whatever moment', async () => {
    const running = await faulty.start();
    const version = await knownVersion(running);
    const before = sessions();
    const leave = async (afterMs: number) => {
      const stream = await running.token.signStream(version, deadline(afterMs));
      try {
        for (;;) await stream.update(PIECE);
      } finally {
        stream.abandon();
      }
    };

    const left = await Promise.all([1, 2, 3, 5, 8, 13, 50].map((ms) => outcomeOf(leave(ms))));

    expect(new Set(left)).toEqual(new Set(['DEADLINE_EXCEEDED']));
    await expectSessions(before);
  });
});

describe('a host', () => {
  test('that hangs in an update is replaced, and its streams end', async () => {
    const running = await faulty.start({ hosts: 2, callTimeoutMs: 500 });
    const version = await knownVersion(running);
    const before = new Set(running.hosts);
    await shim.control(on('C_SignUpdate').hangForever({ times: 1 }));

    const outcome = await outcomeOf(signPieces(running.token, version, PIECE));

    expect(outcome).toBe('DEADLINE_EXCEEDED');
    await running.hostsReplaced(before);
    expect(await signPieces(running.token, version, PIECE)).toEqual(macOf(PIECE));
  });

  test('that is lost takes its streams with it, and no others', async () => {
    const running = await faulty.start({ hosts: 2, sessionsPerHost: 1 });
    const version = await knownVersion(running);
    const streams = await openStreams(running.token, version, 8);
    const [host] = running.hosts;

    host?.kill();
    await until(() => host !== undefined && !running.hosts.has(host));
    const outcomes = await Promise.all(streams.map((stream) => outcomeOf(stream.finish())));
    for (const stream of streams) stream.abandon();

    expect(outcomes.sort()).toEqual([
      ...Array.from({ length: 4 }, () => 'TOKEN_UNAVAILABLE'),
      ...Array.from({ length: 4 }, () => 'done'),
    ]);
  });

  test('that is lost when a stream begins leaves it to another one', async () => {
    const running = await faulty.start({ hosts: 2, sessionsPerHost: 1 });
    const version = await knownVersion(running);
    await running.signMany(8);
    await shim.control(on('C_SignInit').abort({ times: 1 }));

    expect(await signPieces(running.token, version, PIECE)).toEqual(macOf(PIECE));
  });
});

describe('a change of a version’s state', () => {
  test('ends the streams of every lane before it is acknowledged', async () => {
    const { token } = await faulty.start({ hosts: 2, sessionsPerHost: 4 });
    const version = await createKey(token, 'suspended');
    const streams = await openStreams(token, version, 16);

    await token.setVersionState(version, 'SUSPENDED', deadline(LONG_MS));
    // Were the streams not ended, the token would let them finish now.
    await token.setVersionState(version, 'ACTIVE', deadline(LONG_MS));
    const outcomes = await Promise.all(streams.map((stream) => outcomeOf(stream.finish())));

    expect(new Set(outcomes)).toEqual(new Set(['KEY_STATE_FORBIDS']));
  });

  test('lets no signature follow its acknowledgement', async () => {
    const { token } = await faulty.start({ hosts: 2, sessionsPerHost: 2 });
    const version = await createKey(token, 'under-load');
    let acknowledged = false;
    const late: string[] = [];
    const signOnce = async () => {
      const stream = await token.signStream(version, deadline(LONG_MS));
      await stream.update(PIECE);
      const isLate = acknowledged;
      const outcome = await outcomeOf(stream.finish());
      if (isLate) late.push(outcome);
      stream.abandon();
    };
    const signers = Array.from({ length: 12 }, async () => {
      let outcome = 'done';
      while (outcome === 'done') outcome = await outcomeOf(signOnce());
      return outcome;
    });

    await token.setVersionState(version, 'SUSPENDED', deadline(LONG_MS));
    acknowledged = true;

    for (const outcome of await Promise.all(signers)) {
      // SoftHSM 2.6 hides a key for a moment while another process changes it.
      expect(['KEY_STATE_FORBIDS', 'KEY_NOT_FOUND']).toContain(outcome);
    }
    expect(late).not.toContain('done');
  });

  test('that another program makes counts when the data end', async () => {
    const running = await faulty.start();
    const version = await createKey(running.token, 'behind-the-back');
    const [stream] = await openStreams(running.token, version, 1);

    setUsage(faulty.softHsm, 'behind-the-back', { sign: false, verify: false });

    expect(await outcomeOf(stream?.finish() ?? Promise.resolve())).toBe('KEY_STATE_FORBIDS');
  });
});

async function openStreams(
  token: HostedToken,
  version: KeyVersion,
  count: number,
): Promise<TokenStream<Uint8Array>[]> {
  const streams = await Promise.all(
    Array.from({ length: count }, () => token.signStream(version, deadline(LONG_MS))),
  );
  for (const stream of streams) await stream.update(PIECE);
  return streams;
}
