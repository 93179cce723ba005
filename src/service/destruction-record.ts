import { SigildError } from '../domain/errors.ts';
import type { KeyVersion } from '../domain/key.ts';
import type { KeyRecord, VersionRecord } from '../domain/key-record.ts';
import type { RecordChange } from './token-values.ts';

/**
 * Schedules a version's destruction. One that is scheduled already keeps its time.
 *
 * @returns a change that throws {SigildError} KEY_STATE_FORBIDS where the version is destroyed
 */
export function scheduling(version: KeyVersion, destroyTimeMs: number): RecordChange {
  return changing(version, (current) => {
    if (current?.state === 'DESTROYED') throw isDestroyed(version);
    if (current?.state === 'DESTROY_SCHEDULED') return undefined;
    const deactivated = version.state === 'DEACTIVATED' || (current?.deactivated ?? false);
    return { state: 'DESTROY_SCHEDULED', destroyTimeMs, deactivated };
  });
}

/**
 * Takes a scheduled destruction back.
 *
 * @returns a change that throws {SigildError} KEY_STATE_FORBIDS where the version is destroyed
 */
export function restoring(version: KeyVersion): RecordChange {
  return changing(version, (current) => {
    if (current?.state === 'DESTROYED') throw isDestroyed(version);
    if (current?.state !== 'DESTROY_SCHEDULED') return undefined;
    const { destroyTimeMs, deactivated } = current;
    return { state: 'RESTORED', destroyTimeMs, deactivated };
  });
}

/** Records a version as destroyed, unless it is not due any more, or is recorded so already. */
export function destroying(version: KeyVersion, nowMs: number): RecordChange {
  return changing(version, (current) => {
    if (current?.state !== 'DESTROY_SCHEDULED' || current.destroyTimeMs > nowMs) return undefined;
    return { state: 'DESTROYED', destroyTimeMs: nowMs, deactivated: current.deactivated };
  });
}

export function isDestroyed({ key, version }: KeyVersion): SigildError {
  return new SigildError('KEY_STATE_FORBIDS', `version ${version} of key ${key} is DESTROYED`);
}

type Decided = Pick<VersionRecord, 'state' | 'destroyTimeMs' | 'deactivated'>;

function changing(
  { key, id, version, algorithm, createTimeMs }: KeyVersion,
  decide: (current: VersionRecord | undefined) => Decided | undefined,
): RecordChange {
  return (current: KeyRecord | undefined) => {
    const decided = decide(current?.kind === 'version' ? current : undefined);
    return decided && { kind: 'version', key, id, version, algorithm, createTimeMs, ...decided };
  };
}
