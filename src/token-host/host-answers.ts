import { isAlgorithm } from '../domain/algorithm.ts';
import type { Key, KeyVersion } from '../domain/key.ts';
import { type ImportKey, isWrapping } from '../domain/key-import.ts';
import { decodeRecord, encodeRecord, type StampedRecord } from '../domain/key-record.ts';
import { KEY_STATES } from '../domain/key-state.ts';
import type { ListingPiece } from '../service/key-lister.ts';
import type { CallOptions } from './call.ts';
import { type Creation, decodeImportKey, decodeJson } from './protocol.ts';

/**
 * What hosts answer as JSON. Each function throws for what is no such answer, so that a host that writes
 * nonsense, whose memory its module may have broken, loses its calls to another one.
 */

/**
 * Has a call done, and reads its answer while its host can still be blamed for it.
 *
 * @throws {SigildError} as {@link Dispatcher.submit}
 */
export async function ask<Answer>(
  host: { readonly submit: (frame: Buffer, options: CallOptions) => Promise<unknown> },
  frame: Buffer,
  options: CallOptions,
  read: (payload: Buffer) => Answer,
): Promise<Answer> {
  let answer!: Answer;
  const check = (payload: Buffer) => {
    answer = read(payload);
    return undefined;
  };
  await host.submit(frame, { ...options, check });
  return answer;
}

export function keyAnswer(payload: Buffer): Key | undefined {
  const key = decodeJson<unknown>(payload);
  return key === undefined ? undefined : keyOf(key);
}

export function creationAnswer(payload: Buffer): Creation {
  const { key, made } = decodeJson<Creation>(payload);
  return { key: keyOf(key), made: booleanOf(made) };
}

export function listingAnswer(payload: Buffer): ListingPiece {
  const piece = decodeJson<ListingPiece>(payload);
  const { id, isWhole, isLast, keys, gone } = piece;
  booleanOf(isWhole);
  booleanOf(isLast);
  for (const key of keys) keyOf(key);
  demand(typeof id === 'string' && gone.every((name) => typeof name === 'string'));
  return piece;
}

export function recordsAnswer(payload: Buffer): readonly StampedRecord[] {
  return decodeJson<readonly StampedRecord[]>(payload).map((copy) => {
    const { key } = copy.record;
    const record = typeof key === 'string' ? decodeRecord(key, encodeRecord(copy)) : undefined;
    if (record) return record;
    throw nonsense();
  });
}

export function importKeyAnswer(payload: Buffer): ImportKey {
  const key = decodeImportKey(payload);
  demand(typeof key.id === 'string' && isWrapping(key.wrapping));
  return key;
}

export function booleanAnswer(payload: Buffer): boolean {
  return booleanOf(decodeJson<unknown>(payload));
}

/** Of an operation that has nothing to tell. */
export function emptyAnswer(payload: Buffer): void {
  demand(decodeJson<unknown>(payload) === undefined);
}

function keyOf(value: unknown): Key {
  const { name, versions, settings } = value as Key;
  demand(typeof name === 'string' && typeof settings.destroyable === 'boolean');
  demand(Array.isArray(versions) && versions.length > 0 && versions.every(isVersion));
  return value as Key;
}

function isVersion({ key, id, version, algorithm, state, attributes }: KeyVersion): boolean {
  return (
    typeof key === 'string' &&
    /^[0-9a-f]{32}$/.test(id) &&
    Number.isInteger(version) &&
    isAlgorithm(algorithm) &&
    KEY_STATES.includes(state) &&
    attributes instanceof Object
  );
}

function booleanOf(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw nonsense();
}

function demand(holds: boolean): void {
  if (!holds) throw nonsense();
}

function nonsense(): Error {
  return new Error('it gave an answer that makes no sense');
}
