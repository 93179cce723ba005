import { type ErrorReason, SigildError } from '../domain/errors.ts';
import type { Key, VersionRef } from '../domain/key.ts';
import type { TokenFacts } from '../domain/token-info.ts';
import type { NewKey } from '../service/ports.ts';
import { encodeFrame } from './frames.ts';

/** What the front can ask of a session lane: the codes of request frames. */
export const OPERATION = {
  sign: 1,
  verify: 2,
  findKey: 3,
  listKeys: 4,
  createKey: 5,
  destroyVersion: 6,
  probe: 7,
  describe: 11,
} as const;

/** The codes of answer frames. After `lost` the whole host is of no use any more. */
export const OUTCOME = { done: 0, failed: 1, lost: 2 } as const;

/** Rare operations travel as JSON. */
export function encodeJson(code: number, value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value ?? null));
  return encodeFrame(code, json.byteLength, (payload) => payload.set(json));
}

export function encodeCreateKey({ name, algorithm, id }: NewKey): Buffer {
  const hex = Buffer.from(id).toString('hex');
  return encodeJson(OPERATION.createKey, { name, algorithm, id: hex });
}

export function decodeCreateKey(payload: Buffer): NewKey {
  const { name, algorithm, id } = JSON.parse(payload.toString('utf8'));
  return { name, algorithm, id: Buffer.from(id, 'hex') };
}

/** A key, and whether this call made it or an earlier one with the same tag. */
export interface Creation {
  readonly key: Key;
  readonly made: boolean;
}

export function decodeCreation(payload: Buffer): Creation {
  return JSON.parse(payload.toString('utf8')) as Creation;
}

export function encodeDestroyVersion({ key, id }: VersionRef): Buffer {
  return encodeJson(OPERATION.destroyVersion, { key, id });
}

export function decodeDestroyVersion(payload: Buffer): VersionRef {
  return JSON.parse(payload.toString('utf8')) as VersionRef;
}

export function encodeName(name: string): Buffer {
  return encodeJson(OPERATION.findKey, name);
}

/** An operation that needs no payload. */
export function encodeEmpty(code: number): Buffer {
  return encodeFrame(code, 0, () => undefined);
}

export function decodeName(payload: Buffer): string {
  return JSON.parse(payload.toString('utf8')) as string;
}

export function decodeKey(payload: Buffer): Key | undefined {
  return (JSON.parse(payload.toString('utf8')) as Key | null) ?? undefined;
}

export function decodeKeys(payload: Buffer): Key[] {
  return JSON.parse(payload.toString('utf8')) as Key[];
}

export function decodeTokenFacts(payload: Buffer): TokenFacts {
  return JSON.parse(payload.toString('utf8')) as TokenFacts;
}

interface WireError {
  readonly reason: ErrorReason;
  readonly message: string;
  /** For the log alone. */
  readonly detail?: string;
}

export function encodeFailure(code: number, { reason, message, cause }: SigildError): Buffer {
  const detail = cause instanceof Error ? cause.message : undefined;
  const wire: WireError = { reason, message, ...(detail === undefined ? {} : { detail }) };
  return encodeJson(code, wire);
}

export function decodeFailure(payload: Buffer): SigildError {
  const { reason, message, detail } = JSON.parse(payload.toString('utf8')) as WireError;
  return new SigildError(reason, message, detail === undefined ? {} : { cause: new Error(detail) });
}
