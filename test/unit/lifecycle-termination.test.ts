import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { onTermination, type SignalTarget } from '../../src/lifecycle/termination.ts';

class FakeProcess extends EventEmitter implements SignalTarget {
  readonly exitCodes: number[] = [];

  exit(code: number): void {
    this.exitCodes.push(code);
  }

  receive(signal: 'SIGTERM' | 'SIGINT'): void {
    this.emit(signal, signal);
  }
}

function watched() {
  const target = new FakeProcess();
  const begun: string[] = [];
  const release = onTermination((signal) => begun.push(signal), target);
  return { target, begun, release };
}

test.each(['SIGTERM', 'SIGINT'] as const)('begins the stop at the first %s', (signal) => {
  const { target, begun } = watched();

  target.receive(signal);

  expect(begun).toEqual([signal]);
  expect(target.exitCodes).toEqual([]);
});

test.each([
  ['SIGTERM', 'SIGTERM', 143],
  ['SIGINT', 'SIGINT', 130],
  ['SIGTERM', 'SIGINT', 130],
] as const)('ends at once at %s and then %s, with %i', (first, second, code) => {
  const { target, begun } = watched();

  target.receive(first);
  target.receive(second);

  expect(begun).toEqual([first]);
  expect(target.exitCodes).toEqual([code]);
});

test('gives the signals back', () => {
  const { target, begun, release } = watched();

  release();
  target.receive('SIGTERM');

  expect(begun).toEqual([]);
  expect(target.listenerCount('SIGINT')).toBe(0);
});
