import { createHash, randomBytes } from 'node:crypto';
import type { KeyVersion } from '../domain/key.ts';
import { TAG_BYTES } from '../domain/version-id.ts';

/**
 * The tag of a new version's id, by which a repeated call finds what the first one made.
 *
 * @param scope all that tells one request id from the same one for something else
 * @param requestId undefined: a tag that nothing finds again
 */
export function requestTag(scope: readonly string[], requestId: string | undefined): Uint8Array {
  if (requestId === undefined) return randomBytes(TAG_BYTES);
  return createHash('sha256')
    .update(JSON.stringify([...scope, requestId]))
    .digest()
    .subarray(0, TAG_BYTES);
}

/** Whether the request with this tag has made the version. */
export function hasTag({ id, createTimeMs }: KeyVersion, tag: Uint8Array): boolean {
  return createTimeMs !== undefined && id.endsWith(Buffer.from(tag).toString('hex'));
}
