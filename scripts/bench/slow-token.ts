import { on, type Pkcs11Shim, pkcs11Shim } from '../../test/support/pkcs11-shim.ts';
import type { SoftHsm } from '../../test/support/softhsm.ts';
import { CryptokiLoad } from './cryptoki-load.ts';
import { EventLoopDelay } from './event-loop-delay.ts';
import { createFilledToken, type KnownKey } from './filled-token.ts';
import { HealthChecks } from './health-checks.ts';
import { DATA, KeyLoad } from './key-load.ts';
import { compareInTurns, type Sample } from './rounds.ts';
import type { Context, Outcome, Row, Scenario } from './scenario.ts';
import { type MeasuredServer, startSigild } from './servers.ts';

/** The calls of one operation, and for how long the token works on each. */
const FUNCTIONS = ['C_SignInit', 'C_Sign'] as const;
const FUNCTION_MS = 1;

interface Split {
  readonly hosts: number;
  readonly sessionsPerHost: number;
}

const SPLITS: readonly Split[] = [
  { hosts: 1, sessionsPerHost: 1 },
  { hosts: 2, sessionsPerHost: 4 },
  { hosts: 2, sessionsPerHost: 16 },
];

/** Its ratios have no number of sessions in their names. */
const MOST_SESSIONS = 32;

/**
 * What a client is asked at one time with one key travels in one frame, on which one session works,
 * and a client has 8 frames under way: that makes 4 frames of about 8 items for each session.
 */
const KEYS = 8;
const CALLERS_PER_SESSION = 64;
const SESSIONS_PER_CLIENT = 2;

/** A session makes a few hundred operations a second: its thread's code gets warm late. */
const WARM_UP_SECONDS = 20;

const MS_PER_SECOND = 1_000;

export const slowToken: Scenario = {
  name: 'slow-token',
  summary: 'sign on a token that takes 1 ms + 1 ms for it; S sessions are 1x1, 2x4, 2x16 of hosts',
  run,
};

async function run(context: Context): Promise<Outcome> {
  const tokens: SlowToken[] = [];
  for (const split of SPLITS) tokens.push(await SlowToken.start(split, context));
  const subjects: Subject[] = tokens.flatMap((token) => [token, token.inC]);
  const { rows } = await compareInTurns(subjects, context, (subject) => subject.measure());
  const rowOf = ({ name }: Subject) => rows.find((row) => row.name === name);
  const ratios = tokens.flatMap((token) =>
    ratiosOf(token.sessions, rowOf(token), rowOf(token.inC)),
  );
  return { rows, ratios: Object.fromEntries(ratios) };
}

interface Subject {
  readonly name: string;
  readonly measure: () => Promise<Sample>;
}

type SlowSample = Sample & Pick<Row, 'tokenMs' | 'eventLoopDelayP99Ms' | 'healthP99Ms'>;

/**
 * @param inC what a C program has done in as many threads
 * @returns `ideal`: what so many sessions have done, over what they can do in 2 ms each; `token`: the
 *   same for the time that an operation has really taken, since timers ring late. That is the share
 *   of the time for which the sessions were at work; `c`: over what the C program has done.
 */
export function ratiosOf(
  sessions: number,
  row: Row | undefined,
  inC: Row | undefined,
): [name: string, ratio: number][] {
  const { opsPerSecond = 0, tokenMs = 0 } = row ?? {};
  const name = sessions === MOST_SESSIONS ? 'slow-token' : `slow-token-${sessions}`;
  const share = (operationMs: number) => (opsPerSecond * operationMs) / (sessions * MS_PER_SECOND);
  return [
    [`${name}/ideal`, share(FUNCTIONS.length * FUNCTION_MS)],
    [`${name}/token`, share(tokenMs)],
    [`${name}/c`, opsPerSecond / (inC?.opsPerSecond ?? 0)],
  ];
}

interface Parts {
  readonly shim: Pkcs11Shim;
  readonly server: MeasuredServer;
  readonly delay: EventLoopDelay;
  readonly health: HealthChecks;
  readonly load: KeyLoad;
  /** Calls the same module in as many threads. */
  readonly cryptoki: CryptokiLoad;
}

/** A daemon on a slow token of its own. */
class SlowToken {
  readonly name: string;
  readonly sessions: number;
  readonly #parts: Parts;
  readonly #seconds: number;

  private constructor(name: string, sessions: number, parts: Parts, seconds: number) {
    this.name = name;
    this.sessions = sessions;
    this.#parts = parts;
    this.#seconds = seconds;
  }

  /** Starts it and makes it warm. */
  static async start(split: Split, context: Context): Promise<SlowToken> {
    const { resources, seconds, progress } = context;
    const sessions = split.hosts * split.sessionsPerHost;
    const name = `slow-token S=${sessions}`;
    const { softHsm, keys } = await createFilledToken(KEYS, DATA, context);
    const shim = pkcs11Shim(softHsm);
    await shim.control(on(...FUNCTIONS).delay(FUNCTION_MS));
    const delay = new EventLoopDelay(softHsm.directory);
    const server = await startSigild(name, resources, softHsm, {
      // A slow token has processors of its own, SoftHSM has not: copies of keys cost it the least.
      token: { ...split, warmKeys: 'on', module: shim.module },
      environment: { ...shim.environment, ...delay.environment },
    });
    const callers = {
      clients: Math.ceil(sessions / SESSIONS_PER_CLIENT),
      callers: sessions * CALLERS_PER_SESSION,
    };
    const load = new KeyLoad(server, { ...callers, keys }, context);
    progress(`warming up: ${name}`);
    await load.signFor(WARM_UP_SECONDS);
    const health = new HealthChecks(server, resources);
    const cryptoki = cryptokiLoad(softHsm, shim, keys, sessions, context);
    return new SlowToken(name, sessions, { shim, server, delay, health, load, cryptoki }, seconds);
  }

  /** The C program on the same token. */
  get inC(): Subject {
    const { cryptoki } = this.#parts;
    return { name: cryptoki.name, measure: () => cryptoki.run() };
  }

  async measure(): Promise<SlowSample> {
    const { server, delay, health, load } = this.#parts;
    // What they have seen before is of no interest.
    await Promise.all([delay.takeP99Ms(server.pid), health.takeP99Ms()]);
    const tokenMs = this.#meterToken();
    const sample = await load.signFor(this.#seconds);
    return {
      ...sample,
      tokenMs: tokenMs(),
      eventLoopDelayP99Ms: await delay.takeP99Ms(server.pid),
      healthP99Ms: await health.takeP99Ms(),
    };
  }

  /** @returns tells for how long the token has worked on each operation since, on average */
  #meterToken(): () => number {
    const { shim } = this.#parts;
    const read = () =>
      FUNCTIONS.map((name) => ({ calls: shim.calls(name), ms: shim.delayMs(name) }));
    const before = read();
    return () => {
      const each = read().map(({ calls, ms }, index) => {
        const { calls: callsBefore = 0, ms: msBefore = 0 } = before[index] ?? {};
        return (ms - msBefore) / (calls - callsBefore);
      });
      return each.reduce((sum, ms) => sum + ms, 0);
    };
  }
}

function cryptokiLoad(
  softHsm: SoftHsm,
  { module, environment }: Pkcs11Shim,
  [key]: readonly KnownKey[],
  sessions: number,
  context: Context,
): CryptokiLoad {
  if (!key) throw new Error('a token without a key');
  const message = { key: key.name, data: DATA, mac: key.mac };
  const shim = { file: module, environment: { ...softHsm.environment, ...environment } };
  const kind = { name: 'c', module: shim, keyObject: 'session' } as const;
  return new CryptokiLoad(kind, sessions, { token: softHsm, message, context });
}
