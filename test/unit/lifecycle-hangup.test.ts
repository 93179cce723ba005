import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { onHangup } from '../../src/lifecycle/hangup.ts';

class FakeProcess extends EventEmitter {
  readonly stdout: { readonly isTTY: boolean };

  constructor(isTTY: boolean) {
    super();
    this.stdout = { isTTY };
  }
}

test('reloads on each SIGHUP until it is given back', () => {
  const target = new FakeProcess(false);
  let reloads = 0;

  const giveBack = onHangup(() => {
    reloads += 1;
  }, target);
  target.emit('SIGHUP');
  target.emit('SIGHUP');
  giveBack();
  target.emit('SIGHUP');

  expect(reloads).toBe(2);
});

test('leaves the SIGHUP of a terminal that goes as it is', () => {
  const target = new FakeProcess(true);

  onHangup(() => undefined, target);

  expect(target.listenerCount('SIGHUP')).toBe(0);
});
