import type { BatchSignResponse__Output } from '../generated/sigild/v1/BatchSignResponse.ts';
import type { PipelineResponse__Output } from '../generated/sigild/v1/PipelineResponse.ts';
import type { Target } from './signing-calls.ts';
import type { Signature, SigningResult, Verification } from './signing-results.ts';

const INVALID: Verification = Object.freeze({ valid: false });

/**
 * What an answer says of each of `items` items.
 *
 * @returns undefined when it does not say it of all of them, and of nothing else
 */
export function resultsOf(
  { sign, verify }: PipelineResponse__Output,
  { operation }: Target,
  items: number,
): readonly SigningResult[] | undefined {
  const results = operation === 'sign' ? sign && signed(sign) : verify?.versions.map(verifiedItem);
  return results?.length === items ? results : undefined;
}

function signed(answer: BatchSignResponse__Output): readonly Signature[] {
  return answer.signatures.map((signature) => signedItem(answer, signature));
}

/** @param signer what an answer says of the version that signed */
export function signedItem(
  { version = 0, versionId = '', algorithm }: Omit<BatchSignResponse__Output, 'signatures'>,
  signature: Uint8Array,
): Signature {
  // An algorithm of a newer daemon arrives as a number.
  return { signature, version, versionId, algorithm: String(algorithm ?? 'UNSPECIFIED') };
}

/** @param version 0 when the signature is not valid */
export function verifiedItem(version: number): Verification {
  return version > 0 ? { valid: true, version } : INVALID;
}
