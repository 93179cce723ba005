import { ALGORITHM_NAMES, type Algorithm, isAlgorithm } from '../domain/algorithm.ts';
import { type ErrorReason, fieldInvalid, SigildError } from '../domain/errors.ts';
import { isKeyName, parseKeyName } from '../domain/key.ts';
import { MAX_VERSION } from '../domain/version-id.ts';
import type { CreateKeyRequest__Output } from '../generated/sigild/v1/CreateKeyRequest.ts';
import type { GetKeyRequest__Output } from '../generated/sigild/v1/GetKeyRequest.ts';
import type { ListKeysRequest__Output } from '../generated/sigild/v1/ListKeysRequest.ts';
import type { SignRequest__Output } from '../generated/sigild/v1/SignRequest.ts';
import type { VerifyRequest__Output } from '../generated/sigild/v1/VerifyRequest.ts';
import type { CreateKeyItem } from '../service/key-service.ts';
import type { SignItem, VerifyItem } from '../service/signing-service.ts';

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1_000;
const REQUEST_ID = /^[ -~]{1,128}$/;

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING */
export function decodeSignRequest(request: SignRequest__Output): SignItem {
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    data: required('DATA_MISSING', 'data', request.data),
  };
}

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING, SIGNATURE_MISSING */
export function decodeVerifyRequest(request: VerifyRequest__Output): VerifyItem {
  return {
    ...decodeSignRequest(request),
    signature: required('SIGNATURE_MISSING', 'signature', request.signature),
  };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeCreateKeyRequest(request: CreateKeyRequest__Output): CreateKeyItem {
  return {
    key: decodeKeyName(request.key),
    algorithm: decodeAlgorithm(request.algorithm),
    requestId: decodeRequestId(request.requestId),
  };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeGetKeyRequest(request: GetKeyRequest__Output): {
  readonly key: string;
  readonly version: number | undefined;
} {
  return { key: decodeKeyName(request.key), version: decodeVersion(request.version) };
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

function decodeVersion(version: number | undefined): number | undefined {
  if (version === undefined || (version >= 1 && version <= MAX_VERSION)) return version;
  throw fieldInvalid('version', `must be 1 to ${MAX_VERSION}, or absent`);
}

/** A value that the proto does not know arrives as a number, whatever its type says. */
function decodeAlgorithm(algorithm: unknown): Algorithm {
  if (typeof algorithm === 'string' && isAlgorithm(algorithm)) return algorithm;
  throw fieldInvalid('algorithm', `must be one of ${ALGORITHM_NAMES.join(', ')}`);
}

function decodeRequestId(requestId: string | undefined): string | undefined {
  if (requestId === undefined || requestId === '') return undefined;
  if (REQUEST_ID.test(requestId)) return requestId;
  throw fieldInvalid('request_id', 'must be 1 to 128 printable ASCII characters, or empty');
}

// A field that a client misspelt is absent here: were that the same as empty, the empty message
// would be signed in place of the client's.
function required(reason: ErrorReason, field: string, value: Buffer | undefined): Buffer {
  if (value !== undefined) return value;
  const description = 'is required; set it, to no bytes if that is what you mean';
  throw new SigildError(reason, `${field} ${description}`, {
    violations: [{ field, description }],
  });
}
