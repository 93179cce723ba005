import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { signalAll } from '../support/processes.ts';

function startSleeping(): ChildProcess {
  return spawn('sleep', ['60'], { stdio: 'ignore' });
}

test('a process that has ended keeps no signal from the others', async () => {
  const ended = startSleeping();
  const running = startSleeping();
  ended.kill('SIGKILL');
  await once(ended, 'exit');
  const hasEnded = once(running, 'exit');

  signalAll([ended.pid as number, running.pid as number], 'SIGKILL');

  expect(await hasEnded).toEqual([null, 'SIGKILL']);
});
