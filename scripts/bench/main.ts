import { constants } from 'node:os';
import { type Arguments, HELP, readArguments, UsageError } from './arguments.ts';
import { describeMachine } from './machine.ts';
import { machineLines, outcomeJson, outcomeTable } from './report.ts';
import { Resources } from './resources.ts';
import { ResultFiles } from './result-files.ts';
import type { Outcome, Scenario } from './scenario.ts';

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
  if (wanted) await measureAll(wanted);
  else process.stdout.write(HELP);
  return 0;
}

async function measureAll(wanted: Arguments): Promise<void> {
  const files = new ResultFiles(wanted);
  const json: string[] = [];
  try {
    for (const scenario of wanted.scenarios) {
      const machine = describeMachine();
      console.log(`\n${scenario.name}: ${scenario.summary}\n\n${machineLines(machine)}\n`);
      const outcome = await measure(scenario, wanted);
      console.log(`\n${outcomeTable(outcome)}`);
      files.write(scenario, machine, outcome);
      json.push(outcomeJson(scenario.name, machine, outcome));
    }
  } finally {
    // The last lines, also of a benchmark that is ended early.
    if (wanted.json) for (const line of json) console.log(line);
  }
}

async function measure(scenario: Scenario, { seconds, rounds }: Arguments): Promise<Outcome> {
  const { signal } = interrupted;
  const resources = new Resources();
  const progress = (what: string) => {
    signal.throwIfAborted();
    console.error(`  ${what}`);
  };
  try {
    return await scenario.run({ seconds, rounds, signal, resources, progress });
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
