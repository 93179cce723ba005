import { expect, test } from 'vitest';
import { orderlyStop } from '../../src/lifecycle/shutdown.ts';

/** Steps that write down when they run, and the troubles that a stop tells of. */
function recorder() {
  const events: string[] = [];
  const troubles: string[] = [];
  return {
    events,
    troubles,
    step: (name: string, run: () => void | Promise<void> = () => {}, limitMs = 1_000) => ({
      name,
      limitMs,
      run: () => {
        events.push(name);
        return run();
      },
    }),
    onTrouble: (step: string, error: unknown) => {
      troubles.push(`${step}: ${error instanceof Error ? error.message : error}`);
    },
  };
}

test('runs its steps one after the other', async () => {
  const { events, troubles, step, onTrouble } = recorder();
  let closeListeners = () => {};
  const closed = new Promise<void>((resolve) => {
    closeListeners = resolve;
  });
  const stop = orderlyStop([step('listeners', () => closed), step('hosts')], onTrouble);

  const stopped = stop();
  await Promise.resolve();
  const before = [...events];
  closeListeners();
  await stopped;

  expect(before).toEqual(['listeners']);
  expect(events).toEqual(['listeners', 'hosts']);
  expect(troubles).toEqual([]);
});

test('goes on after a step that throws, rejects or overruns', async () => {
  const { events, troubles, step, onTrouble } = recorder();
  const stop = orderlyStop(
    [
      step('throws', () => {
        throw new Error('broken');
      }),
      step('rejects', () => Promise.reject(new Error('refused'))),
      step('hangs', () => new Promise(() => {}), 5),
      step('last'),
    ],
    onTrouble,
  );

  await stop();

  expect(events).toEqual(['throws', 'rejects', 'hangs', 'last']);
  expect(troubles).toEqual([
    'throws: broken',
    'rejects: refused',
    'hangs: hangs took longer than 5 ms',
  ]);
});

test('reports a step once, though it fails after it overran', async () => {
  const { troubles, step, onTrouble } = recorder();
  let failLate = (_: Error) => {};
  const late = new Promise<void>((_, reject) => {
    failLate = reject;
  });
  const stop = orderlyStop([step('late', () => late, 5)], onTrouble);

  await stop();
  failLate(new Error('too late'));
  await new Promise((resolve) => setImmediate(resolve));

  expect(troubles).toEqual(['late: late took longer than 5 ms']);
});

test('stops once, and gives everyone the same promise', async () => {
  const { events, step, onTrouble } = recorder();
  const stop = orderlyStop([step('only')], onTrouble);

  const first = stop();
  const second = stop();
  await second;

  expect(second).toBe(first);
  expect(stop()).toBe(first);
  expect(events).toEqual(['only']);
});

test('runs the steps that are there when it begins', async () => {
  const { events, step, onTrouble } = recorder();
  const steps = [step('hosts')];
  const stop = orderlyStop(steps, onTrouble);

  steps.unshift(step('listeners'));
  await stop();

  expect(events).toEqual(['listeners', 'hosts']);
});
