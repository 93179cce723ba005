import { constants } from 'node:os';
import { type Arguments, HELP, readArguments, UsageError } from './arguments.ts';
import { describeMachine } from './machine.ts';
import { machineLines, outcomeJson, outcomeTable } from './report.ts';
import { Resources } from './resources.ts';
import type { Scenario } from './scenario.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 64;

class Interruption extends Error {
  readonly exitCode: number;

  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`ended by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

// npm passes on a signal that the whole process group has had already: only the first one counts.
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupted.abort(new Interruption(signal)));
}

async function main(): Promise<number> {
  const wanted = readArguments(process.argv.slice(2));
  if (wanted) for (const scenario of wanted.scenarios) await measure(scenario, wanted);
  else process.stdout.write(HELP);
  return 0;
}

async function measure(scenario: Scenario, { seconds, rounds, json }: Arguments): Promise<void> {
  const { signal } = interrupted;
  const machine = describeMachine();
  console.log(`\n${scenario.name}: ${scenario.summary}\n\n${machineLines(machine)}\n`);
  const resources = new Resources();
  try {
    const progress = (what: string) => {
      signal.throwIfAborted();
      console.error(`  ${what}`);
    };
    const outcome = await scenario.run({ seconds, rounds, signal, resources, progress });
    console.log(`\n${outcomeTable(outcome)}`);
    if (json) console.log(outcomeJson(scenario.name, machine, outcome));
  } finally {
    await resources.release();
  }
}

/** @returns the exit code */
function report(error: unknown): number {
  // Whatever failed after an interruption did so because of it.
  const { aborted, reason } = interrupted.signal;
  if (aborted && reason instanceof Interruption) {
    console.error(reason.message);
    return reason.exitCode;
  }
  console.error(error instanceof UsageError ? error.message : error);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE;
}

process.exit(await main().catch(report));
