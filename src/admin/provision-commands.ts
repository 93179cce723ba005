import { type Command, Option } from 'commander';
import { addDaemonOptions, addressOf } from './daemon-options.ts';
import { addCommand, type Invocation, printing } from './invocation.ts';
import { Output, type OutputFormat } from './output.ts';
import type { ProvisionOptions } from './provision-actions.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export function addProvisionCommand(program: Command, invocation: Invocation): void {
  const command = addCommand(
    program,
    'provision <plan>',
    'make keys as a plan describes them: what is as planned already stays as it is',
    [
      'sigilctl provision plan.yaml --dry-run',
      'sigilctl provision plan.yaml',
      'sigilctl provision plan.yaml --check',
    ],
  )
    .option('--check', 'change nothing; exit with 3 when the keys differ from the plan')
    .addOption(
      new Option('--dry-run', 'change nothing; show what would be done').conflicts('check'),
    );
  addDaemonOptions(command).action(
    printing(invocation, async (file: string, options: ProvisionOptions & Printed) => {
      const { provision } = await import('./provision-actions.ts');
      const output = new Output(options.output, invocation.streams);
      return untilInterrupted((signal) =>
        provision(addressOf(options, invocation), file, options, {
          onStep: (line) => output.note(line),
          signal,
        }),
      );
    }),
  );
}

interface Printed {
  readonly output: OutputFormat;
}

/** Lets the first signal end work in an orderly way; a second one ends the process. */
async function untilInterrupted<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const interrupt = () => controller.abort();
  for (const signal of SIGNALS) process.once(signal, interrupt);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
}
