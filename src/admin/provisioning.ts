import type { PlannedKey } from '../config/plan.ts';
import { durationText } from '../domain/duration.ts';
import type { KeyDocument } from './key-documents.ts';

/** A setting that a step gives a key. */
export interface Change {
  readonly setting: 'algorithm' | 'rotationPeriod' | 'destroyable';
  /** Absent for a key that does not exist yet. */
  readonly from?: string;
  readonly to: string;
}

/** What brings one key to what the plan asks for. */
export interface Step {
  readonly action: 'create' | 'update';
  readonly key: PlannedKey;
  /** At least one. */
  readonly changes: readonly Change[];
}

export interface Difference {
  /** In the plan's order. */
  readonly steps: readonly Step[];
  /** What no step can bring about, each with a reason. */
  readonly impossible: readonly string[];
}

/** Compares a plan with the keys that are there. Keys that it does not name are none of its business. */
export function differenceOf(
  plan: readonly PlannedKey[],
  keys: readonly KeyDocument[],
): Difference {
  const existing = new Map(keys.map((key) => [key.name, key]));
  const steps: Step[] = [];
  const impossible: string[] = [];
  for (const planned of plan) {
    const key = existing.get(planned.name);
    if (key === undefined) {
      steps.push({ action: 'create', key: planned, changes: creationOf(planned) });
      continue;
    }
    const conflicts = conflictsOf(planned, key);
    impossible.push(...conflicts);
    const changes = conflicts.length > 0 ? [] : updatesOf(planned, key);
    if (changes.length > 0) steps.push({ action: 'update', key: planned, changes });
  }
  return { steps, impossible };
}

/** One line, for instance `create webhooks: algorithm HMAC_SHA256, rotationPeriod 90d`. */
export function stepText({ action, key, changes }: Step): string {
  const settings = changes.map(({ setting, from, to }) =>
    from === undefined ? `${setting} ${to}` : `${setting} ${from} -> ${to}`,
  );
  return `${action} ${key.name}: ${settings.join(', ')}`;
}

function creationOf({ algorithm, rotationPeriodMs, destroyable }: PlannedKey): Change[] {
  return [
    { setting: 'algorithm', to: algorithm },
    ...optional('rotationPeriod', rotationPeriodMs && periodText(rotationPeriodMs)),
    ...optional('destroyable', destroyable === false ? 'false' : undefined),
  ];
}

function optional(setting: Change['setting'], to: string | number | undefined): Change[] {
  return typeof to === 'string' ? [{ setting, to }] : [];
}

function updatesOf({ rotationPeriodMs }: PlannedKey, key: KeyDocument): Change[] {
  const current = key.rotationPeriodMs ?? 0;
  if (rotationPeriodMs === undefined || rotationPeriodMs === current) return [];
  return [
    { setting: 'rotationPeriod', from: periodText(current), to: periodText(rotationPeriodMs) },
  ];
}

/** What a key is made with it keeps for ever. */
function conflictsOf({ name, algorithm, destroyable }: PlannedKey, key: KeyDocument): string[] {
  if (key.versions.every(({ state }) => state === 'DESTROYED')) {
    return [
      `${name}: every version of it is DESTROYED; key create --reuse-name takes the name again`,
    ];
  }
  const conflicts: string[] = [];
  if (algorithm !== key.algorithm) {
    conflicts.push(`${name}: its algorithm is ${key.algorithm} and cannot become ${algorithm}`);
  }
  if (destroyable !== undefined && destroyable !== key.destroyable) {
    const [is, be] = key.destroyable
      ? ['is', 'made indestructible']
      : ['is not', 'made destroyable'];
    conflicts.push(`${name}: it ${is} destroyable and cannot be ${be}`);
  }
  return conflicts;
}

function periodText(ms: number): string {
  return ms === 0 ? 'none' : durationText(ms);
}
