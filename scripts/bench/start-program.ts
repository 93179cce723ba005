import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Resources } from './resources.ts';

const START_LIMIT_MS = 10_000;

/** A program that runs until the resources are released. */
export interface StartedProgram {
  readonly pid: number;
  /** The first line that it has printed. */
  readonly line: string;
}

/** Starts a program that prints a line when it is ready. @throws {Error} when it does not, in 10 s */
export async function startProgram(
  [program, ...args]: readonly [string, ...string[]],
  resources: Resources,
  environment = process.env,
): Promise<StartedProgram> {
  const child = spawn(program, args, { env: environment, stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  resources.add(() => {
    child.kill('SIGKILL');
    return exited;
  });
  const signal = AbortSignal.timeout(START_LIMIT_MS);
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line', { signal }),
    exited.then(() => []),
  ]);
  if (child.pid !== undefined && line !== undefined) return { pid: child.pid, line: String(line) };
  throw new Error(`${program} has ended before it was ready`);
}
