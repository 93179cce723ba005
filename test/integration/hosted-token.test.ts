import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { StartFailure } from '../../src/service/start-failure.ts';
import type { Host } from '../../src/token-host/host.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import type { HostedTokenOptions } from '../../src/token-host/hosted-token-options.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { signOne } from '../support/one-message.ts';
import { createSoftHsm, pkcs11Spy, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Running {
  readonly softHsm: SoftHsm;
  readonly token: HostedToken;
  /** The hosts that serve now. */
  readonly hosts: Set<Host>;
}

async function start(
  options: Partial<HostedTokenOptions> = {},
  softHsm: SoftHsm = createSoftHsm(),
): Promise<Running> {
  cleanUps.push(() => softHsm.remove());
  const hosts = new Set<Host>();
  const token = await startHostedToken(softHsm, {
    onTransition: (transition) => {
      if (transition.event === 'started') hosts.add(transition.host);
      if (transition.event === 'lost') hosts.delete(transition.host);
    },
    ...options,
  });
  cleanUps.push(() => token.close(2_000));
  return { softHsm, token, hosts };
}

function deadline(ms = 5_000): AbortSignal {
  const controller = new AbortController();
  const late = new SigildError('DEADLINE_EXCEEDED', `${ms} ms`);
  setTimeout(() => controller.abort(late), ms).unref();
  return controller.signal;
}

async function writtenKey({ softHsm, token }: Running): Promise<[KeyVersion, Buffer]> {
  const value = randomBytes(32);
  softHsm.writeKey({ label: 'adopted-key', value });
  const key = await token.findKey('adopted-key', deadline());
  return [key?.versions[0] as KeyVersion, value];
}

function macOf(value: Buffer, data: Buffer): string {
  return createHmac('sha256', value).update(data).digest('hex');
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (failure: unknown) => failure,
  );
  if (error instanceof SigildError) return error.reason;
  throw error;
}

describe('a host that is lost', () => {
  test.each([1, 2])(
    'fails no call and spoils no MAC when killed under load, %i hosts',
    async (hosts) => {
      const running = await start({ hosts });
      const [version, value] = await writtenKey(running);
      let wrong = 0;
      let signed = 0;
      let stop = false;
      const caller = async () => {
        while (!stop) {
          const data = randomBytes(64);
          const mac = await signOne(running.token, version, data, deadline());
          if (mac.toString('hex') !== macOf(value, data)) wrong += 1;
          signed += 1;
        }
      };
      const callers = Promise.all(Array.from({ length: 32 }, caller));

      for (let kills = 0; kills < 3; kills++) {
        const before = signed;
        await until(() => running.hosts.size === hosts && signed > before + 100);
        const [host] = running.hosts;
        process.kill(host?.pid as number, 'SIGKILL');
        await until(() => !running.hosts.has(host as Host));
      }
      stop = true;

      await callers;
      expect(wrong).toBe(0);
      expect(signed).toBeGreaterThan(300);
    },
  );

  test('is replaced when it hangs, while the other hosts go on', async () => {
    const running = await start({ callTimeoutMs: 300 });
    const [version] = await writtenKey(running);
    await until(() => running.hosts.size === 2);
    const [frozen] = running.hosts;
    process.kill(frozen?.pid as number, 'SIGSTOP');

    const calls = Array.from({ length: 8 }, () =>
      signOne(running.token, version, Buffer.from('data'), deadline()),
    );
    const outcomes = await Promise.allSettled(calls);

    const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
    // The call that each frozen lane was working on; the lanes' other calls are repeated.
    expect(failures.length).toBeLessThanOrEqual(2);
    for (const { reason } of failures)
      expect(reason).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    await until(() => running.hosts.size === 2 && !running.hosts.has(frozen as Host));
  });

  test('ends when the front closes it, and its process is gone', async () => {
    const running = await start();
    await until(() => running.hosts.size === 2);
    const pids = [...running.hosts].map((host) => host.pid as number);

    await running.token.close(2_000);

    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(await reasonOf(running.token.listKeys(undefined, deadline()))).toBe('SHUTTING_DOWN');
  });
});

describe('the token', () => {
  test('is unavailable, and its keys are never "not found", while its directory is gone', async () => {
    const running = await start();
    const [version, value] = await writtenKey(running);
    const data = randomBytes(8);
    await signOne(running.token, version, data, deadline());
    const tokens = join(running.softHsm.directory, 'tokens');

    renameSync(tokens, `${tokens}.away`);
    await until(
      async () => (await reasonOf(running.token.probe(deadline()))) === 'TOKEN_UNAVAILABLE',
    );

    await expect(running.token.findKey('adopted-key', deadline())).rejects.toMatchObject({
      reason: 'TOKEN_UNAVAILABLE',
    });
    await expect(signOne(running.token, version, data, deadline())).rejects.toMatchObject({
      reason: 'TOKEN_UNAVAILABLE',
    });

    renameSync(`${tokens}.away`, tokens);
    await until(() => running.hosts.size > 0);
    const mac = await signOne(running.token, version, data, deadline());
    expect(mac.toString('hex')).toBe(macOf(value, data));
  });

  test('is not used when a key was replaced by another one behind its back', async () => {
    const running = await start({ warmKeys: 'off' });
    const [version] = await writtenKey(running);
    const id = Buffer.from(
      encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) }),
    );
    running.softHsm.writeKey({
      label: 'adopted-swap',
      id: id.toString('hex'),
      value: randomBytes(32),
    });
    const key = await running.token.findKey('adopted-swap', deadline());
    const swapped = key?.versions[0] as KeyVersion;
    await signOne(running.token, swapped, Buffer.from('data'), deadline());

    running.softHsm.pkcs11Tool('--delete-object', '--type', 'secrkey', '--label', 'adopted-swap');
    running.softHsm.writeKey({
      label: 'adopted-swap',
      id: id.toString('hex'),
      value: randomBytes(32),
    });
    const outcomes: string[] = [];
    for (let calls = 0; calls < 12; calls++) {
      const use = signOne(running.token, swapped, Buffer.from('data'), deadline());
      outcomes.push(
        await use.then(
          () => 'signed',
          (error: SigildError) => error.reason,
        ),
      );
    }

    expect(outcomes.at(-1)).toBe('TOKEN_REFUSED');
    expect(outcomes).not.toContain('signed');
    await expect(
      signOne(running.token, version, Buffer.from('data'), deadline()),
    ).resolves.toBeDefined();
  });
});

describe('the queue', () => {
  test('refuses what is over its limit, and serves what it took', async () => {
    const running = await start({ hosts: 1, sessionsPerHost: 1, maxWaiting: 10 });
    const [version] = await writtenKey(running);

    const outcomes = await Promise.allSettled(
      Array.from({ length: 30 }, () =>
        signOne(running.token, version, Buffer.from('data'), deadline()),
      ),
    );

    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(20);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ reason: 'POOL_SATURATED', retryAfterMs: expect.any(Number) });
    }
  });
});

describe('with every Cryptoki call watched', () => {
  test('initialises the module for threads and logs in once per host', async () => {
    const softHsm = createSoftHsm();
    const spy = pkcs11Spy(softHsm);
    let writers = 0;
    const onWriterTransition = () => {
      writers += 1;
    };
    const { module, environment } = spy;
    const running = await start({ module, environment, onWriterTransition }, softHsm);
    await until(() => running.hosts.size === 2 && writers === 1);

    const log = spy.log();

    expect(log.match(/C_Initialize/g)).toHaveLength(3);
    expect(log.match(/flags: 2\b/g)?.length).toBeGreaterThanOrEqual(3);
    expect(log.match(/C_Login/g)).toHaveLength(3);
  });

  test('tries a wrong PIN exactly once', async () => {
    const softHsm = createSoftHsm();
    cleanUps.push(() => softHsm.remove());
    const spy = pkcs11Spy(softHsm);
    softHsm.writePin('wrong pin');

    const failure = await startHostedToken(softHsm, {
      module: spy.module,
      environment: spy.environment,
    }).catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(StartFailure);
    expect(failure).toMatchObject({ kind: 'wrong-pin' });
    expect((failure as Error).message).not.toContain('wrong pin');
    expect(spy.log().match(/C_Login/g)).toHaveLength(1);
  });

  test('makes no token call for a caller who left the queue', async () => {
    const softHsm = createSoftHsm();
    const spy = pkcs11Spy(softHsm);
    const running = await start(
      { module: spy.module, environment: spy.environment, hosts: 1, sessionsPerHost: 1 },
      softHsm,
    );
    const [version] = await writtenKey(running);
    await signOne(running.token, version, Buffer.from('first'), deadline());
    const signsBefore = spy.log().match(/C_SignInit/g)?.length;
    const caller = new AbortController();

    const call = signOne(running.token, version, Buffer.from('second'), caller.signal);
    caller.abort(new SigildError('CANCELLED', 'gone'));

    expect(await reasonOf(call)).toBe('CANCELLED');
    await running.token.findKey('adopted-key', deadline());
    expect(spy.log().match(/C_SignInit/g)?.length).toBe(signsBefore);
  });
});

describe('a host that cannot start', () => {
  const cases: [string, Partial<HostedTokenOptions>, string, RegExp][] = [
    [
      'a module that is not there',
      { module: '/nowhere/p11.so' },
      'configuration',
      /nowhere\/p11\.so/,
    ],
    ['a module that is no library', { module: '/etc/passwd' }, 'configuration', /etc\/passwd/],
    ['a label that no token has', { selector: { label: 'nope' } }, 'unavailable', /"nope".*"test"/],
    [
      'a PIN file that is not there',
      { pin: { file: '/nowhere/pin', credential: false } },
      'configuration',
      /nowhere\/pin/,
    ],
  ];

  test.each(cases)('says what is wrong: %s', async (_, options, kind, message) => {
    const softHsm = createSoftHsm();
    cleanUps.push(() => softHsm.remove());

    const failure = await startHostedToken(softHsm, options).catch((error: unknown) => error);

    expect(failure).toMatchObject({ kind, message: expect.stringMatching(message) });
  });

  test('says that two tokens have the label', async () => {
    const softHsm = createSoftHsm();
    cleanUps.push(() => softHsm.remove());
    softHsm.addToken(softHsm.label);

    const failure = await startHostedToken(softHsm).catch((error: unknown) => error);

    expect(failure).toMatchObject({
      kind: 'configuration',
      message: expect.stringMatching(/serial/),
    });
  });

  test('refuses a PIN file that others can read', async () => {
    const softHsm = createSoftHsm();
    cleanUps.push(() => softHsm.remove());
    softHsm.writePin(softHsm.pin, 0o644);

    const failure = await startHostedToken(softHsm).catch((error: unknown) => error);

    expect(failure).toMatchObject({ kind: 'configuration', message: expect.stringMatching(/644/) });
    expect(readFileSync(softHsm.pinFile, 'utf8')).toContain(softHsm.pin);
  });
});
