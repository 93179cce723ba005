import { randomUUID } from 'node:crypto';
import { ConfigError } from '../config/config-error.ts';
import { loadPlan, type PlannedKey } from '../config/plan.ts';
import { CommandFailure } from './command-failure.ts';
import { type DaemonClient, withDaemon } from './daemon-client.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { EXIT_STATUS } from './exit-status.ts';
import type { CommandResult } from './invocation.ts';
import { type Difference, differenceOf, type Step, stepText } from './provisioning.ts';

export interface ProvisionOptions extends DaemonOptions {
  readonly check?: boolean;
  readonly dryRun?: boolean;
}

/** Where a run tells how far it is, and hears that it shall end. */
export interface Progress {
  readonly onStep: (line: string) => void;
  /** Ends the run after the step that is under way. */
  readonly signal: AbortSignal;
}

/** `provision`: brings the keys to what a plan asks for, one step after the other. */
export async function provision(
  address: string,
  file: string,
  options: ProvisionOptions,
  progress: Progress,
): Promise<CommandResult> {
  const plan = readPlan(file);
  return withDaemon(address, options, async (daemon) => {
    const difference = differenceOf(plan, await daemon.listKeys());
    assertPossible(difference);
    const { steps } = difference;
    if (options.check || options.dryRun) return found(steps, options.check ?? false);
    for (const step of steps) progress.onStep(stepText(step));
    await applyAll(daemon, steps, progress);
    return {
      document: { steps: steps.map(stepDocument), applied: steps.length },
      text: summary(plan, steps),
    };
  });
}

/** @throws {CommandFailure} USAGE, with every problem of the file */
function readPlan(file: string): readonly PlannedKey[] {
  try {
    return loadPlan(file);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CommandFailure('USAGE', error.message, { cause: error });
  }
}

function assertPossible({ impossible }: Difference): void {
  if (impossible.length === 0) return;
  throw new CommandFailure('PLAN_IMPOSSIBLE', impossible.join('\n'), {
    nextStep: 'nothing was changed; correct the plan, or give the keys new names',
  });
}

function found(steps: readonly Step[], isCheck: boolean): CommandResult {
  const differs = isCheck && steps.length > 0;
  return {
    document: { steps: steps.map(stepDocument), applied: 0 },
    text: steps.map((step) => `${stepText(step)}\n`).join('') || 'nothing to do\n',
    exitCode: (differs ? EXIT_STATUS.differs : EXIT_STATUS.done).code,
  };
}

/** Makes each step once; whatever ends the run, a run that follows goes on behind the last one done. */
async function applyAll(
  daemon: DaemonClient,
  steps: readonly Step[],
  { onStep, signal }: Progress,
): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const done = `${index} of ${steps.length} steps are done`;
    if (signal.aborted) {
      throw new CommandFailure('CANCELLED', `interrupted; ${done}`, { nextStep: RUN_AGAIN });
    }
    try {
      await apply(daemon, step);
    } catch (error) {
      throw withContext(error, step, done);
    }
    onStep(`[${index + 1}/${steps.length}] ${step.key.name}: ${DONE[step.action]}`);
  }
}

const RUN_AGAIN = 'run the plan again, which goes on where this run ended';

const DONE = { create: 'created', update: 'updated' } as const satisfies Record<
  Step['action'],
  string
>;

async function apply(daemon: DaemonClient, { action, key }: Step): Promise<void> {
  const { name, algorithm, rotationPeriodMs, destroyable } = key;
  if (action === 'update') {
    await daemon.updateKey({ key: name, rotationPeriodMs: rotationPeriodMs ?? 0 });
    return;
  }
  await daemon.createKey({
    ...{ key: name, algorithm, requestId: randomUUID() },
    ...{ rotationPeriodMs: rotationPeriodMs ?? 0, destroyable: destroyable ?? true },
    reuseName: false,
  });
}

/** The failure of one step, which says what becomes of the others. */
function withContext(error: unknown, { action, key }: Step, done: string): unknown {
  if (!(error instanceof CommandFailure)) return error;
  const { reason, message, violations, retryAfterMs } = error;
  return new CommandFailure(reason, `${action} ${key.name}: ${message}; ${done}`, {
    nextStep: RUN_AGAIN,
    violations,
    retryAfterMs,
    cause: error,
  });
}

function stepDocument({ action, key, changes }: Step) {
  return { action, key: key.name, changes };
}

function summary(plan: readonly PlannedKey[], steps: readonly Step[]): string {
  const count = (action: Step['action']) => steps.filter((step) => step.action === action).length;
  const [created, updated] = [count('create'), count('update')];
  return `${created} created, ${updated} updated, ${plan.length - steps.length} as planned already\n`;
}
