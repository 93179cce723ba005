import { fieldInvalid } from '../domain/errors.ts';
import { isKeyName } from '../domain/key.ts';
import { isUsageState, USAGE_STATES, type UsageState } from '../domain/key-state.ts';
import type { CreateKeyRequest__Output } from '../generated/sigild/v1/CreateKeyRequest.ts';
import type { GetKeyRequest__Output } from '../generated/sigild/v1/GetKeyRequest.ts';
import type { ListKeysRequest__Output } from '../generated/sigild/v1/ListKeysRequest.ts';
import type { RestoreRequest__Output } from '../generated/sigild/v1/RestoreRequest.ts';
import type { RotateKeyRequest__Output } from '../generated/sigild/v1/RotateKeyRequest.ts';
import type { ScheduleDestroyRequest__Output } from '../generated/sigild/v1/ScheduleDestroyRequest.ts';
import type { UpdateKeyRequest__Output } from '../generated/sigild/v1/UpdateKeyRequest.ts';
import type { UpdateKeyVersionRequest__Output } from '../generated/sigild/v1/UpdateKeyVersionRequest.ts';
import type { RestoreItem, ScheduleDestroyItem } from '../service/key-destruction.ts';
import type { RotateKeyItem, UpdateKeyVersionItem } from '../service/key-lifecycle.ts';
import type { CreateKeyItem } from '../service/key-service.ts';
import type { UpdateKeyItem } from '../service/key-settings.ts';
import { decodeAlgorithm, decodeKeyName, decodeRequestId, decodeVersion } from './decode-fields.ts';
import { decodeDuration } from './duration.ts';

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;

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

function decodeOneVersion(request: { readonly key?: string; readonly version?: number }) {
  const key = decodeKeyName(request.key);
  const version = decodeVersion(request.version);
  if (version === undefined) throw fieldInvalid('version', 'is required');
  return { key, version };
}

/** A value that the proto does not know arrives as a number, whatever its type says. */
function decodeState(state: unknown): UsageState {
  if (typeof state === 'string' && isUsageState(state)) return state;
  throw fieldInvalid('state', `must be one of ${USAGE_STATES.join(', ')}`);
}
