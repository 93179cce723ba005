import { ALGORITHM_NAMES, type Algorithm, isAlgorithm } from '../domain/algorithm.ts';
import { type ErrorReason, fieldInvalid, SigildError } from '../domain/errors.ts';
import { parseKeyName } from '../domain/key.ts';
import { MAX_VERSION } from '../domain/version-id.ts';

const REQUEST_ID = /^[ -~]{1,128}$/;

/** @throws {SigildError} FIELD_INVALID */
export function decodeKeyName(name: string | undefined): string {
  return parseKeyName(name ?? '', 'key');
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeVersion(version: number | undefined): number | undefined {
  if (version === undefined || (version >= 1 && version <= MAX_VERSION)) return version;
  throw fieldInvalid('version', `must be 1 to ${MAX_VERSION}, or absent`);
}

/**
 * @param algorithm a value that the proto does not know arrives as a number, whatever its type says
 * @throws {SigildError} FIELD_INVALID
 */
export function decodeAlgorithm(algorithm: unknown): Algorithm {
  if (typeof algorithm === 'string' && isAlgorithm(algorithm)) return algorithm;
  throw fieldInvalid('algorithm', `must be one of ${ALGORITHM_NAMES.join(', ')}`);
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeRequestId(requestId: string | undefined): string | undefined {
  if (requestId === undefined || requestId === '') return undefined;
  if (REQUEST_ID.test(requestId)) return requestId;
  throw fieldInvalid('request_id', 'must be 1 to 128 printable ASCII characters, or empty');
}

// A field that a client misspelt is absent here: were that the same as empty, the empty message
// would be signed in place of the client's.
export function required(reason: ErrorReason, field: string, value: Buffer | undefined): Buffer {
  if (value !== undefined) return value;
  throw missing(reason, field, 'is required; set it, to no bytes if that is what you mean');
}

/** For a field that a request has to have. */
export function missing(reason: ErrorReason, field: string, description: string): SigildError {
  return new SigildError(reason, `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}
