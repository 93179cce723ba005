import { ALGORITHM_NAMES, type Algorithm, isAlgorithm } from '../domain/algorithm.ts';
import { type ErrorReason, fieldInvalid, SigildError } from '../domain/errors.ts';
import { isKeyName, parseKeyName } from '../domain/key.ts';
import { isUsageState, USAGE_STATES, type UsageState } from '../domain/key-state.ts';
import { MAX_VERSION } from '../domain/version-id.ts';
import type { BatchSignRequest__Output } from '../generated/sigild/v1/BatchSignRequest.ts';
import type { BatchVerifyRequest__Output } from '../generated/sigild/v1/BatchVerifyRequest.ts';
import type { CreateKeyRequest__Output } from '../generated/sigild/v1/CreateKeyRequest.ts';
import type { GetKeyRequest__Output } from '../generated/sigild/v1/GetKeyRequest.ts';
import type { ListKeysRequest__Output } from '../generated/sigild/v1/ListKeysRequest.ts';
import type { RestoreRequest__Output } from '../generated/sigild/v1/RestoreRequest.ts';
import type { RotateKeyRequest__Output } from '../generated/sigild/v1/RotateKeyRequest.ts';
import type { ScheduleDestroyRequest__Output } from '../generated/sigild/v1/ScheduleDestroyRequest.ts';
import type { SignRequest__Output } from '../generated/sigild/v1/SignRequest.ts';
import type { UpdateKeyRequest__Output } from '../generated/sigild/v1/UpdateKeyRequest.ts';
import type { UpdateKeyVersionRequest__Output } from '../generated/sigild/v1/UpdateKeyVersionRequest.ts';
import type { VerifyRequest__Output } from '../generated/sigild/v1/VerifyRequest.ts';
import type { RestoreItem, ScheduleDestroyItem } from '../service/key-destruction.ts';
import type { RotateKeyItem, UpdateKeyVersionItem } from '../service/key-lifecycle.ts';
import type { CreateKeyItem } from '../service/key-service.ts';
import type { UpdateKeyItem } from '../service/key-settings.ts';
import type { SignBatch, VerifyBatch } from '../service/signing-service.ts';
import { decodeForm } from './decode-form.ts';
import { decodeDuration } from './duration.ts';

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;
const MAX_BATCH_ITEMS = 1_024;
/** Of the data of one batch together. */
export const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const REQUEST_ID = /^[ -~]{1,128}$/;

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING */
export function decodeSignRequest(request: SignRequest__Output): SignBatch {
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: [decodeMessage(request)],
    ...decodeForm(request),
  };
}

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING, SIGNATURE_MISSING */
export function decodeVerifyRequest(request: VerifyRequest__Output): VerifyBatch {
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: [
      {
        data: decodeMessage(request),
        mac: required('SIGNATURE_MISSING', 'signature', request.signature),
      },
    ],
    ...decodeForm(request),
  };
}

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING, DATA_TOO_LARGE */
export function decodeBatchSignRequest(request: BatchSignRequest__Output): SignBatch {
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: decodeBatch(request.data),
  };
}

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING, DATA_TOO_LARGE, SIGNATURE_MISSING */
export function decodeBatchVerifyRequest(request: BatchVerifyRequest__Output): VerifyBatch {
  const batch = decodeBatch(request.data);
  const { signatures } = request;
  const count = `${signatures.length} for ${batch.length} items; each item needs one`;
  if (signatures.length < batch.length) throw missing('SIGNATURE_MISSING', 'signatures', count);
  if (signatures.length > batch.length) throw fieldInvalid('signatures', count);
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: batch.map((data, index) => ({ data, mac: signatures[index] as Buffer })),
  };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeCreateKeyRequest(request: CreateKeyRequest__Output): CreateKeyItem {
  return {
    key: decodeKeyName(request.key),
    algorithm: decodeAlgorithm(request.algorithm),
    requestId: decodeRequestId(request.requestId),
    settings: {
      rotationPeriodMs: decodeDuration(request.rotationPeriod, 'rotation_period') || undefined,
      destroyable: request.destroyable ?? true,
    },
    reuseName: request.reuseName ?? false,
  };
}

/** Also a GetPublicKeyRequest, which has the same fields. @throws {SigildError} FIELD_INVALID */
export function decodeGetKeyRequest(request: GetKeyRequest__Output): {
  readonly key: string;
  readonly version: number | undefined;
} {
  return { key: decodeKeyName(request.key), version: decodeVersion(request.version) };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeRotateKeyRequest(request: RotateKeyRequest__Output): RotateKeyItem {
  return {
    key: decodeKeyName(request.key),
    keepActive: request.keepActive ?? false,
    requestId: decodeRequestId(request.requestId),
  };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeUpdateKeyRequest(request: UpdateKeyRequest__Output): UpdateKeyItem {
  const key = decodeKeyName(request.key);
  const periodMs = decodeDuration(request.rotationPeriod, 'rotation_period');
  if (periodMs === undefined) {
    throw fieldInvalid('rotation_period', 'is required: without it there is nothing to change');
  }
  return { key, rotationPeriodMs: periodMs || undefined };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeUpdateKeyVersionRequest(
  request: UpdateKeyVersionRequest__Output,
): UpdateKeyVersionItem {
  return { ...decodeOneVersion(request), state: decodeState(request.state) };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeScheduleDestroyRequest(
  request: ScheduleDestroyRequest__Output,
): ScheduleDestroyItem {
  return {
    ...decodeOneVersion(request),
    delayMs: decodeDuration(request.delay, 'delay'),
  };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeRestoreRequest(request: RestoreRequest__Output): RestoreItem {
  return decodeOneVersion(request);
}

/**
 * @returns `after`: the name that ended the page before; undefined for the first page
 * @throws {SigildError} FIELD_INVALID
 */
export function decodeListKeysRequest(request: ListKeysRequest__Output): {
  readonly pageSize: number;
  readonly after: string | undefined;
} {
  return {
    pageSize: decodePageSize(request.pageSize ?? 0),
    after: decodePageToken(request.pageToken ?? ''),
  };
}

/** A page token is opaque to clients: the name that ended the page, in base64url. */
export function encodePageToken(after: string): string {
  return Buffer.from(after).toString('base64url');
}

function decodePageToken(token: string): string | undefined {
  if (token === '') return undefined;
  const after = Buffer.from(token, 'base64url').toString();
  if (isKeyName(after) && encodePageToken(after) === token) return after;
  throw fieldInvalid('page_token', 'must be the next_page_token of the page before');
}

function decodePageSize(pageSize: number): number {
  if (pageSize < 0 || pageSize > MAX_PAGE_SIZE) {
    throw fieldInvalid('page_size', `must be 0 to ${MAX_PAGE_SIZE}`);
  }
  return pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
}

function decodeKeyName(name: string | undefined): string {
  return parseKeyName(name ?? '', 'key');
}

function decodeOneVersion(request: { readonly key?: string; readonly version?: number }) {
  const key = decodeKeyName(request.key);
  const version = decodeVersion(request.version);
  if (version === undefined) throw fieldInvalid('version', 'is required');
  return { key, version };
}

function decodeVersion(version: number | undefined): number | undefined {
  if (version === undefined || (version >= 1 && version <= MAX_VERSION)) return version;
  throw fieldInvalid('version', `must be 1 to ${MAX_VERSION}, or absent`);
}

/** A value that the proto does not know arrives as a number, whatever its type says. */
function decodeAlgorithm(algorithm: unknown): Algorithm {
  if (typeof algorithm === 'string' && isAlgorithm(algorithm)) return algorithm;
  throw fieldInvalid('algorithm', `must be one of ${ALGORITHM_NAMES.join(', ')}`);
}

/** A value that the proto does not know arrives as a number, whatever its type says. */
function decodeState(state: unknown): UsageState {
  if (typeof state === 'string' && isUsageState(state)) return state;
  throw fieldInvalid('state', `must be one of ${USAGE_STATES.join(', ')}`);
}

function decodeRequestId(requestId: string | undefined): string | undefined {
  if (requestId === undefined || requestId === '') return undefined;
  if (REQUEST_ID.test(requestId)) return requestId;
  throw fieldInvalid('request_id', 'must be 1 to 128 printable ASCII characters, or empty');
}

function decodeMessage({ data, digest }: Pick<SignRequest__Output, 'data' | 'digest'>): Buffer {
  if (digest === undefined) return required('DATA_MISSING', 'data', data);
  if (data === undefined) return digest;
  throw fieldInvalid('digest', 'give data or its digest, not both');
}

// A field that a client misspelt is absent here: were that the same as empty, the empty message
// would be signed in place of the client's.
function required(reason: ErrorReason, field: string, value: Buffer | undefined): Buffer {
  if (value !== undefined) return value;
  throw missing(reason, field, 'is required; set it, to no bytes if that is what you mean');
}

function missing(reason: ErrorReason, field: string, description: string): SigildError {
  return new SigildError(reason, `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}

function decodeBatch(data: readonly Buffer[]): readonly Buffer[] {
  if (data.length === 0) throw missing('DATA_MISSING', 'data', 'has no items; send at least one');
  if (data.length > MAX_BATCH_ITEMS) {
    throw fieldInvalid('data', `at most ${MAX_BATCH_ITEMS} items are allowed`);
  }
  let bytes = 0;
  for (const item of data) bytes += item.byteLength;
  if (bytes <= MAX_BATCH_BYTES) return data;
  throw new SigildError(
    'DATA_TOO_LARGE',
    `the items have ${bytes} bytes together; at most ${MAX_BATCH_BYTES} are allowed`,
  );
}
