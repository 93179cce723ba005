import { createHash, randomBytes } from 'node:crypto';
import type { Key, KeyVersion } from '../domain/key.ts';
import { nextRotationMs } from '../domain/rotation.ts';
import { TAG_BYTES } from '../domain/version-id.ts';

/** How much of an automatic version's tag tells that it is one. */
const MARK_BYTES = 3;

/**
 * What a key with a rotation period needs now: its next version, or the rest of a rotation that did
 * not come to its end.
 */
export type DueStep = 'rotate' | 'finish';

/**
 * Only a version that the daemon has made by itself has its predecessors deactivated later on: one
 * that a client made may have been asked to keep them.
 */
export function dueStep(key: Key, nowMs: number): DueStep | undefined {
  const dueMs = nextRotationMs(key);
  if (dueMs === undefined) return undefined;
  if (nowMs >= dueMs) return 'rotate';
  return isUnfinished(key) ? 'finish' : undefined;
}

/**
 * A tag by which every daemon knows that a version was made by one of them. The rest of it is random:
 * two that make the version within one millisecond must not make one id.
 */
export function automaticTag(key: string, version: number): Uint8Array {
  return Buffer.concat([markOf(key, version), randomBytes(TAG_BYTES - MARK_BYTES)]);
}

function isUnfinished({ versions: [newest, ...others] }: Key): boolean {
  if (newest?.state !== 'ACTIVE') return false;
  const hasActive = others.some(
    ({ version, state }) => version < newest.version && state === 'ACTIVE',
  );
  return hasActive && isAutomatic(newest);
}

function isAutomatic({ key, id, version, createTimeMs }: KeyVersion): boolean {
  if (createTimeMs === undefined) return false;
  return Buffer.from(id, 'hex')
    .subarray(-TAG_BYTES, -TAG_BYTES + MARK_BYTES)
    .equals(markOf(key, version));
}

function markOf(key: string, version: number): Buffer {
  return createHash('sha256')
    .update(JSON.stringify(['automatic rotation', key, version]))
    .digest()
    .subarray(0, MARK_BYTES);
}
