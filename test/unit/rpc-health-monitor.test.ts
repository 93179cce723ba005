import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HealthMonitor } from '../../src/rpc/health-monitor.ts';

const INTERVAL_MS = 1_000;
const TIMEOUT_MS = 300;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** @param results what each probe does in turn; the last one again and again */
function subject(...results: readonly ((signal: AbortSignal) => Promise<void>)[]) {
  const transitions: boolean[] = [];
  const errors: unknown[] = [];
  let health: boolean | undefined;
  let probes = 0;
  const monitor = new HealthMonitor({
    health: {
      setServing: (serving) => {
        health = serving;
      },
    },
    probe: (signal) => {
      const result = results[Math.min(probes, results.length - 1)];
      probes += 1;
      return result?.(signal) ?? Promise.resolve();
    },
    intervalMs: INTERVAL_MS,
    timeoutMs: TIMEOUT_MS,
    onTransition: (serving, error) => {
      transitions.push(serving);
      errors.push(error);
    },
  });
  return { monitor, transitions, errors, probes: () => probes, health: () => health };
}

const passes = () => Promise.resolve();
const fails = () => Promise.reject(new Error('no token'));
const hangs = () => new Promise<void>(() => undefined);

test('serves when the first probe has passed', async () => {
  const { monitor, health, transitions } = subject(passes);

  expect(monitor.serving).toBe(false);
  await monitor.start();

  expect(monitor.serving).toBe(true);
  expect(health()).toBe(true);
  expect(transitions).toEqual([true]);
});

test('does not serve when the first probe fails, and says why', async () => {
  const { monitor, health, transitions, errors } = subject(fails);

  await monitor.start();

  expect(health()).toBe(false);
  expect(transitions).toEqual([false]);
  expect(errors).toEqual([new Error('no token')]);
});

test('follows the token down and up, and tells of changes alone', async () => {
  const { monitor, transitions, probes } = subject(passes, fails, fails, passes);
  await monitor.start();

  await vi.advanceTimersByTimeAsync(4 * INTERVAL_MS);

  expect(probes()).toBe(5);
  expect(transitions).toEqual([true, false, true]);
});

test('a probe that takes too long has failed', async () => {
  const { monitor, transitions, errors } = subject(hangs);

  const started = monitor.start();
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
  await started;

  expect(transitions).toEqual([false]);
  expect(errors).toMatchObject([{ reason: 'DEADLINE_EXCEEDED' }]);
});

test('no probe starts while one runs, even one that does not mind its limit', async () => {
  const { monitor, probes } = subject(passes, hangs);
  await monitor.start();

  await vi.advanceTimersByTimeAsync(10 * INTERVAL_MS);

  expect(probes()).toBe(2);
  expect(monitor.serving).toBe(false);
});

test('stays NOT_SERVING when it is stopped, though a running probe passes', async () => {
  let pass: () => void = () => undefined;
  const { monitor, health, transitions, probes } = subject(
    () =>
      new Promise((resolve) => {
        pass = resolve;
      }),
  );

  const started = monitor.start();
  monitor.stop();
  pass();
  await started;
  await vi.advanceTimersByTimeAsync(5 * INTERVAL_MS);

  expect(monitor.serving).toBe(false);
  expect(health()).toBe(false);
  expect(transitions).toEqual([]);
  expect(probes()).toBe(1);
});
