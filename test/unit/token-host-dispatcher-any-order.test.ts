import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { Dispatcher } from '../../src/token-host/dispatcher.ts';
import { FakeHost, type FakeSession, textFrame, turn } from '../support/fake-host.ts';

const MAX_WAITING = 6;

/** What can happen in any order, and how often it does beside the others. */
const WEIGHTS = {
  submit: 6,
  submitOnce: 2,
  submitTo: 1,
  leave: 2,
  answer: 5,
  answerAll: 1,
  fail: 1,
  loseToken: 1,
  sendGarbage: 1,
  closePipe: 1,
  loseHost: 1,
  exit: 2,
  addHost: 2,
  failFast: 1,
  close: 1,
  turn: 8,
} as const;

type Action = keyof typeof WEIGHTS;

interface Step {
  readonly action: Action;
  /** Chooses among the hosts, sessions or calls that are there at that moment. */
  readonly pick: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  action: fc.oneof(
    ...Object.entries(WEIGHTS).map(([action, weight]) => ({
      arbitrary: fc.constant(action as Action),
      weight,
    })),
  ),
  pick: fc.nat({ max: 1_000 }),
});

interface Submitted {
  readonly text: string;
  readonly kind: 'repeatable' | 'once' | 'for one host';
  readonly caller: AbortController;
  /** What its promise has settled with: its answer or its reason. */
  readonly outcomes: string[];
}

const REASONS = [
  'CANCELLED',
  'KEY_NOT_FOUND',
  'POOL_SATURATED',
  'SHUTTING_DOWN',
  'TOKEN_UNAVAILABLE',
];

/** A dispatcher, what can happen to it, and all that an observer can see of it. */
class Scene {
  readonly hosts: FakeHost[] = [];
  readonly calls: Submitted[] = [];
  readonly dispatcher = new Dispatcher<FakeHost>({
    maxWaiting: MAX_WAITING,
    onHostLost: () => undefined,
  });

  readonly actions: Readonly<Record<Action, (pick: number) => unknown>> = {
    submit: () => this.#submit('repeatable'),
    submitOnce: () => this.#submit('once'),
    submitTo: (pick) => this.#submit('for one host', pickFrom(this.hosts, pick)),
    leave: (pick) => pickFrom(this.calls, pick)?.caller.abort(new SigildError('CANCELLED', 'gone')),
    answer: (pick) => this.#session(pick)?.answer(),
    answerAll: (pick) => pickFrom(this.#living, pick)?.answerAll(),
    fail: (pick) => this.#session(pick)?.fail(new SigildError('KEY_NOT_FOUND', 'no such key')),
    loseToken: (pick) => this.#session(pick)?.loseToken(),
    sendGarbage: (pick) => this.#session(pick)?.pipe.push(Buffer.alloc(13)),
    closePipe: (pick) => this.#session(pick)?.close(),
    loseHost: (pick) => {
      const host = pickFrom(this.hosts, pick);
      if (host) this.dispatcher.loseHost(host, new Error('lost'));
    },
    exit: (pick) => void pickFrom(this.#living, pick)?.exit(),
    addHost: (pick) => {
      const host = new FakeHost(1 + (pick % 3));
      this.hosts.push(host);
      this.dispatcher.addHost(host);
    },
    failFast: () => this.dispatcher.failFast('the token is away'),
    close: () => this.dispatcher.close(),
    turn: async () => {
      await turn();
      this.check();
    },
  };

  /** Ends what is left, as the daemon does when it stops. */
  async end(): Promise<void> {
    this.dispatcher.close();
    await Promise.all(this.hosts.map((host) => host.exit()));
    await turn();
  }

  /** What holds at any moment. */
  check(): void {
    const received = this.hosts.flatMap((host) => host.received);
    const twice = repeats(received);
    const once = this.calls.filter(({ kind }) => kind !== 'repeatable').map(({ text }) => text);
    expect({
      'given to a session while another one might still do it': repeats(
        this.#living.flatMap((host) => host.received),
      ),
      'given to three sessions': repeats(twice),
      'repeated though it must not be': once.filter((text) => twice.includes(text)),
    }).toEqual({
      'given to a session while another one might still do it': [],
      'given to three sessions': [],
      'repeated though it must not be': [],
    });
    const waiting = this.calls.filter(
      ({ text, kind, outcomes }) =>
        kind !== 'for one host' && outcomes.length === 0 && !received.includes(text),
    );
    expect(waiting.length).toBeLessThanOrEqual(MAX_WAITING);
  }

  /** What holds when all has ended. */
  checkEnd(): void {
    this.check();
    for (const { text, outcomes } of this.calls) {
      expect(outcomes).toHaveLength(1);
      expect([text, ...REASONS]).toContain(outcomes[0]);
    }
  }

  get #living(): FakeHost[] {
    return this.hosts.filter(({ ended }) => !ended);
  }

  get #sessions(): FakeSession[] {
    return this.hosts.flatMap((host) => host.sessions);
  }

  #submit(kind: Submitted['kind'], host?: FakeHost): void {
    const text = `call ${this.calls.length}`;
    const caller = new AbortController();
    const outcomes: string[] = [];
    const repeatable = kind === 'repeatable';
    const options = { repeatable, macs: 1, limitMs: 60_000, signal: caller.signal };
    const answer = host
      ? this.dispatcher.submitTo(host, textFrame(text), options)
      : this.dispatcher.submit(textFrame(text), options);
    answer.then(
      (payload) => outcomes.push(payload.toString()),
      (error: unknown) => outcomes.push(error instanceof SigildError ? error.reason : 'a defect'),
    );
    this.calls.push({ text, kind, caller, outcomes });
  }

  /** A session that has something to answer, or else any. */
  #session(pick: number): FakeSession | undefined {
    const sessions = this.#living.flatMap((host) => host.sessions);
    const busy = sessions.filter(({ pending }) => pending.length > 0);
    return pickFrom(busy.length > 0 ? busy : sessions, pick);
  }
}

function pickFrom<Item>(items: readonly Item[], pick: number): Item | undefined {
  return items[pick % items.length];
}

/** What stands there once more. */
function repeats(texts: readonly string[]): string[] {
  return texts.filter((text, index) => texts.indexOf(text) !== index);
}

test('whatever happens in whatever order, every call settles once, with its own answer or a reason', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const scene = new Scene();

      for (const { action, pick } of steps) {
        const done = scene.actions[action](pick);
        // Nothing else waits, so that what follows meets what was just done half finished.
        if (action === 'turn') await done;
      }
      await scene.end();

      scene.checkEnd();
    }),
    { numRuns: 200 },
  );
});
