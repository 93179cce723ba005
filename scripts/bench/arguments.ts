import { parseArgs } from 'node:util';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

export interface Arguments {
  readonly scenarios: readonly Scenario[];
  /** How long one measurement takes, about. */
  readonly seconds: number;
  readonly rounds: number;
  readonly json: boolean;
  /** The folder that charts are put into. */
  readonly charts: string | undefined;
  /** The file whose part on benchmarks is made anew. */
  readonly readme: string | undefined;
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

const MAX_SECONDS = 120;
const MAX_ROUNDS = 100;

export const HELP = `Usage: npm run bench -- [SCENARIO...] [OPTION...]

Measures the built daemon, on a SoftHSM token of its own, beside other ways to do the same.
Servers that do no work: empty-server is gRPC alone, empty-service all that sigild has in front of
its services. A C program that signs with the daemon's key in 1, 4 and 16 threads: c-session-object
and c-token-object call SoftHSM in its process, p11-kit by \`p11-kit server\`. Ratios compare with
the fastest number of threads. Without a SCENARIO it measures all of them:

${SCENARIOS.map(({ name, summary }) => `  ${name.padEnd(11)}${summary}`).join('\n')}

  --seconds N      how long one measurement takes, about (default 5, at most ${MAX_SECONDS})
  --rounds N       how often each is repeated (default 5, at most ${MAX_ROUNDS}); medians are shown
  --json           end with one line of JSON for each scenario
  --charts FOLDER  draw each scenario into FOLDER/SCENARIO.svg
  --readme FILE    put tables into the place that the file has for them
`;

/** @returns what to measure; undefined when the help is asked for @throws {UsageError} */
export function readArguments(args: readonly string[]): Arguments | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  return {
    scenarios: positionals.length === 0 ? SCENARIOS : positionals.map(scenarioOf),
    seconds: count('--seconds', values.seconds, MAX_SECONDS),
    rounds: count('--rounds', values.rounds, MAX_ROUNDS),
    json: values.json,
    charts: path('--charts', values.charts),
    readme: path('--readme', values.readme),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '5' },
        rounds: { type: 'string', default: '5' },
        json: { type: 'boolean', default: false },
        charts: { type: 'string' },
        readme: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.find((known) => known.name === name);
  if (scenario) return scenario;
  throw new UsageError(`there is no scenario ${name}; see npm run bench -- --help`);
}

function count(option: string, text: string, max: number): number {
  const value = /^[0-9]{1,3}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new UsageError(`${option} must be a whole number from 1 to ${max}`);
}

function path(option: string, text: string | undefined): string | undefined {
  if (text !== '') return text;
  throw new UsageError(`${option} must name a place`);
}
