import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { untilAborted } from '../../src/service/deadline.ts';
import { StartFailure, type StartFailureKind } from '../../src/service/start-failure.ts';
import { Supervisor } from '../../src/token-host/supervisor.ts';
import { FakeHost, turn } from '../support/fake-host.ts';

/** A host that is starting, until a test lets it succeed or fail. */
interface Start {
  readonly expectedSerial: string | undefined;
  readonly signal: AbortSignal;
  succeed(host?: FakeHost): Promise<FakeHost>;
  fail(error: Error): Promise<void>;
}

interface Pause {
  readonly ms: number;
  end(): Promise<void>;
}

function startSupervisor(hosts = 1) {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const starts: Start[] = [];
  const pauses: Pause[] = [];
  const added: FakeHost[] = [];
  const refusals: string[] = [];
  const transitions: string[] = [];
  const givenUp: StartFailure[] = [];
  const supervisor = new Supervisor<FakeHost>({
    hosts,
    dispatcher: {
      addHost: (host) => added.push(host),
      failFast: (message) => refusals.push(message),
    },
    startHost: (expectedSerial, signal) => {
      const started = new Promise<FakeHost>((resolve, reject) => {
        starts.push({
          expectedSerial,
          signal,
          succeed: async (host = new FakeHost()) => {
            resolve(host);
            await turn();
            return host;
          },
          fail: (error) => {
            reject(error);
            return turn();
          },
        });
      });
      return untilAborted(started, signal);
    },
    onTransition: ({ event }) => transitions.push(event),
    onGiveUp: (failure) => givenUp.push(failure),
    pause: (ms, signal) => {
      const paused = new Promise<void>((resolve) => {
        pauses.push({
          ms,
          end: () => {
            resolve();
            return turn();
          },
        });
      });
      return untilAborted(paused, signal);
    },
  });
  /** Loses a host after it has lived for a while. */
  const lose = async (host: FakeHost | undefined, afterMs = 10_000) => {
    vi.advanceTimersByTime(afterMs);
    if (host) supervisor.lost(host, new Error('lost'));
    await turn();
  };
  return { supervisor, starts, pauses, added, refusals, transitions, givenUp, lose };
}

/** A supervisor whose hosts have all started. */
async function startWithHosts(count: number) {
  const started = startSupervisor(count);
  const start = started.supervisor.start();
  for (let host = 0; host < count; host++) {
    await turn();
    await started.starts[host]?.succeed();
  }
  await start;
  return started;
}

function failure(kind: StartFailureKind): StartFailure {
  return new StartFailure(kind, `it fails: ${kind}`);
}

describe('the first host', () => {
  test('is given to the dispatcher when it has started', async () => {
    const { supervisor, starts, added, transitions } = startSupervisor();
    const start = supervisor.start();
    await turn();

    const host = await starts[0]?.succeed();

    await start;
    expect(added).toEqual([host]);
    expect(transitions).toEqual(['started']);
  });

  test.each(['configuration', 'unavailable', 'wrong-pin', 'wrong-token'] as const)(
    'is tried once: start rejects with its failure (%s)',
    async (kind) => {
      const { supervisor, starts, givenUp, transitions } = startSupervisor(3);
      const start = supervisor.start();
      const outcome = expect(start).rejects.toMatchObject({ name: 'StartFailure', kind });
      await turn();

      await starts[0]?.fail(failure(kind));

      await outcome;
      expect(starts).toHaveLength(1);
      expect([givenUp, transitions]).toEqual([[], []]);
    },
  );

  test('fails as unavailable when its process cannot be made', async () => {
    const { supervisor, starts } = startSupervisor();
    const start = supervisor.start();
    const outcome = expect(start).rejects.toMatchObject({
      name: 'StartFailure',
      kind: 'unavailable',
      message: expect.stringContaining('EMFILE'),
    });
    await turn();

    await starts[0]?.fail(new Error('spawn EMFILE'));

    await outcome;
  });
});

describe('the other hosts', () => {
  test('start one at a time, after the first one, on the same token', async () => {
    const { supervisor, starts, added } = startSupervisor(3);
    const start = supervisor.start();
    await turn();
    expect(starts).toHaveLength(1);
    await starts[0]?.succeed(new FakeHost(1, 'A1'));
    await start;

    expect(starts).toHaveLength(2);
    await starts[1]?.succeed();
    expect(starts).toHaveLength(3);
    await starts[2]?.succeed();

    expect(added).toHaveLength(3);
    expect(starts.map(({ expectedSerial }) => expectedSerial)).toEqual([undefined, 'A1', 'A1']);
  });

  test('are tried again, later and later, while they fail', async () => {
    const { starts, pauses, transitions, refusals } = await startWithHosts(1).then(async (one) => {
      await one.lose(one.added[0]);
      return one;
    });

    for (let tries = 0; tries < 7; tries++) {
      await starts.at(-1)?.fail(failure('unavailable'));
      await pauses.at(-1)?.end();
    }

    expect(pauses.map(({ ms }) => ms)).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    expect(transitions.filter((event) => event === 'failed')).toHaveLength(7);
    expect(new Set(refusals).size).toBe(1);
  });

  test.each(['configuration', 'unavailable'] as const)(
    'are tried again after a failure that an operator or time may mend: %s',
    async (kind) => {
      const { starts, pauses, added, lose } = await startWithHosts(1);
      await lose(added[0]);

      await starts[1]?.fail(failure(kind));
      await pauses[0]?.end();

      expect(starts).toHaveLength(3);
    },
  );

  test('are tried again when their process cannot be made', async () => {
    const { starts, pauses, added, lose } = await startWithHosts(1);
    await lose(added[0]);

    await starts[1]?.fail(new Error('spawn EMFILE'));
    await pauses[0]?.end();
    await starts[2]?.succeed();

    expect(added).toHaveLength(2);
  });
});

describe('a host that is lost', () => {
  test('is replaced at once when it was stable', async () => {
    const { starts, pauses, added, transitions, lose } = await startWithHosts(1);

    await lose(added[0], 2_000);
    await starts[1]?.succeed();

    expect(pauses).toEqual([]);
    expect(added).toHaveLength(2);
    expect(transitions).toEqual(['started', 'lost', 'started']);
  });

  test('is replaced after a pause when it was not, and after a longer one the next time', async () => {
    const { starts, pauses, added, lose } = await startWithHosts(1);

    for (let losses = 0; losses < 3; losses++) {
      await lose(added.at(-1), 1_999);
      await pauses.at(-1)?.end();
      await starts.at(-1)?.succeed();
    }

    expect(pauses.map(({ ms }) => ms)).toEqual([250, 500, 1_000]);
  });

  test('is replaced at once again after one that was stable', async () => {
    const { starts, pauses, added, lose } = await startWithHosts(1);
    await lose(added[0], 0);
    await pauses[0]?.end();
    await starts[1]?.succeed();

    await lose(added[1], 2_000);

    expect(pauses).toHaveLength(1);
    expect(starts).toHaveLength(3);
  });

  test('is replaced alone: the others go on', async () => {
    const { starts, added, lose } = await startWithHosts(3);

    await lose(added[1]);

    expect(starts).toHaveLength(4);
  });

  test('lets calls wait for the first try to replace the last one', async () => {
    const { starts, added, refusals, lose } = await startWithHosts(2);
    await lose(added[0]);
    await starts[2]?.fail(failure('unavailable'));
    expect(refusals).toEqual([]);

    await lose(added[1]);
    expect(refusals).toEqual([]);
    await starts[3]?.fail(failure('unavailable'));

    expect(refusals).toEqual([expect.stringContaining('sigild goes on trying')]);
  });
});

describe.each(['wrong-pin', 'wrong-token'] as const)('after %s', (kind) => {
  test('no host ever starts again, however many are wanted', async () => {
    const { starts, pauses, added, transitions, lose } = await startWithHosts(3);
    for (const host of added.slice(0, 2)) await lose(host);

    await starts[3]?.fail(failure(kind));
    await lose(added[2]);

    expect(starts).toHaveLength(4);
    expect(pauses).toEqual([]);
    expect(transitions.filter((event) => event === 'failed')).toHaveLength(1);
  });

  test('it gives up at once when no host is left, and once', async () => {
    const { starts, added, givenUp, refusals, lose } = await startWithHosts(2);
    for (const host of [...added]) await lose(host);

    const refused = failure(kind);
    await starts[2]?.fail(refused);
    await turn();

    expect(givenUp).toEqual([refused]);
    expect(refusals.at(-1)).toMatch(/operator/);
  });

  test('it gives up when the last host that was left is lost, and not before', async () => {
    const { starts, added, givenUp, refusals, lose } = await startWithHosts(3);
    await lose(added[0]);
    const refused = failure(kind);
    await starts[3]?.fail(refused);
    await lose(added[1]);
    expect([givenUp, refusals]).toEqual([[], []]);

    await lose(added[2]);

    expect(givenUp).toEqual([refused]);
    expect(refusals).toEqual([expect.stringMatching(/operator/)]);
  });
});

describe('a host whose canary key', () => {
  test('makes another MAC than before is ended, and another one tried', async () => {
    const { starts, added, lose, pauses, transitions } = await startWithHosts(1);
    await lose(added[0]);

    const broken = new FakeHost(1, 'serial', { id: '01', mac: '0b' });
    await starts[1]?.succeed(broken);
    const wasKilled = broken.killed;
    await broken.exit();
    await pauses[0]?.end();
    const sound = await starts[2]?.succeed();

    expect(wasKilled).toBe(true);
    expect(added.slice(1)).toEqual([sound]);
    expect(transitions).toContain('failed');
  });

  test('was made anew serves', async () => {
    const { starts, added, lose } = await startWithHosts(1);
    await lose(added[0]);

    const host = await starts[1]?.succeed(new FakeHost(1, 'serial', { id: '02', mac: '0b' }));

    expect(added[1]).toBe(host);
  });
});

describe('a spare host', () => {
  test('starts in turn with the others, on the same token, and fills no place', async () => {
    const { supervisor, starts, added, lose } = await startWithHosts(1);
    await lose(added[0]);
    const spare = supervisor.startSpare();
    await turn();
    expect(starts).toHaveLength(2);

    await starts[1]?.succeed();
    const host = await starts[2]?.succeed();

    expect(await spare).toBe(host);
    expect(starts[2]?.expectedSerial).toBe('serial');
    expect(added).not.toContain(host);
  });

  test('that fails is not tried again by itself', async () => {
    const { supervisor, starts, pauses } = await startWithHosts(1);
    const spare = supervisor.startSpare();
    const outcome = expect(spare).rejects.toMatchObject({ kind: 'unavailable' });
    await turn();

    await starts[1]?.fail(failure('unavailable'));

    await outcome;
    expect([starts.length, pauses]).toEqual([2, []]);
  });

  test('does not start after a refused PIN, and says so', async () => {
    const { supervisor, starts, added, lose } = await startWithHosts(2);
    await lose(added[0]);
    const refused = failure('wrong-pin');
    await starts[2]?.fail(refused);

    await expect(supervisor.startSpare()).rejects.toBe(refused);
    expect(starts).toHaveLength(3);
  });

  test('whose PIN is refused is the last one to start', async () => {
    const { supervisor, starts, added, givenUp, lose } = await startWithHosts(1);
    const spare = supervisor.startSpare();
    const refused = failure('wrong-pin');
    const outcome = expect(spare).rejects.toBe(refused);
    await turn();
    await starts[1]?.fail(refused);
    await outcome;
    expect(givenUp).toEqual([]);

    await lose(added[0]);

    expect(givenUp).toEqual([refused]);
    expect(starts).toHaveLength(2);
  });

  test('whose PIN is refused while no host is left makes it give up', async () => {
    const { supervisor, starts, pauses, added, givenUp, lose } = await startWithHosts(1);
    await lose(added[0], 0);
    const spare = supervisor.startSpare();
    const refused = failure('wrong-pin');
    const outcome = expect(spare).rejects.toBe(refused);
    await turn();

    await starts[1]?.fail(refused);
    await outcome;
    await pauses[0]?.end();

    expect(givenUp).toEqual([refused]);
    expect(starts).toHaveLength(2);
  });

  test('does not start when all stops', async () => {
    const { supervisor, starts } = await startWithHosts(1);

    const spare = supervisor.startSpare();
    const outcome = expect(spare).rejects.toBeInstanceOf(StartFailure);
    await supervisor.stop();

    await outcome;
    expect(starts).toHaveLength(1);
  });
});

describe('stop', () => {
  test('ends a host that is starting, and starts none of those that waited for their turn', async () => {
    const { supervisor, starts, added, transitions } = startSupervisor(3);
    const start = supervisor.start();
    await turn();
    await starts[0]?.succeed();
    await start;

    await supervisor.stop();

    expect(starts).toHaveLength(2);
    expect(starts[1]?.signal.aborted).toBe(true);
    expect(added).toHaveLength(1);
    expect(transitions).toEqual(['started']);
  });

  test('kills a host that has started at that very moment, and waits for its end', async () => {
    const { supervisor, starts, added, lose } = await startWithHosts(1);
    await lose(added[0]);
    const late = new FakeHost();

    void starts[1]?.succeed(late);
    await Promise.resolve();
    let stopped = false;
    const stop = supervisor.stop().then(() => {
      stopped = true;
    });
    await turn();
    expect([late.killed, stopped]).toEqual([true, false]);
    await late.exit();

    await stop;
    expect(added).not.toContain(late);
  });

  test('does not wait for a pause to end', async () => {
    const { supervisor, starts, pauses, added, lose } = await startWithHosts(1);
    await lose(added[0]);
    await starts[1]?.fail(failure('unavailable'));
    expect(pauses).toHaveLength(1);

    await supervisor.stop();
    await turn();

    expect(starts).toHaveLength(2);
  });

  test('leaves a host that is lost afterwards unreplaced', async () => {
    const { supervisor, starts, added, lose } = await startWithHosts(1);

    await supervisor.stop();
    await lose(added[0]);

    expect(starts).toHaveLength(1);
  });
});

test('pauses on a timer that stop ends', async () => {
  const starts: (string | undefined)[] = [];
  const first = new FakeHost();
  const supervisor = new Supervisor<FakeHost>({
    hosts: 1,
    dispatcher: { addHost: () => undefined, failFast: () => undefined },
    startHost: async (expectedSerial) => {
      starts.push(expectedSerial);
      if (starts.length === 1) return first;
      throw failure('unavailable');
    },
    onTransition: () => undefined,
    onGiveUp: () => undefined,
  });
  await supervisor.start();
  supervisor.lost(first, new Error('lost'));
  await turn();

  await supervisor.stop();
  await turn();

  expect(starts).toEqual([undefined]);
});
