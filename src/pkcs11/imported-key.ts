import pkcs11js from 'pkcs11js';
import type { Algorithm, MacAlgorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { lengthText, type SecretFacts, secretsOf, type WrappedKey } from '../domain/key-import.ts';
import type { NewKey } from '../service/token-values.ts';
import { AttributeReader, type Handle, type Template } from './attributes.ts';
import { CryptokiError } from './ck-rv.ts';
import type { ImportKeys } from './import-keys.ts';
import { destroyQuietly, type KeySource } from './key-creation.ts';
import type { KeyObjects } from './key-objects.ts';
import { IMPORT_PROOF, importedKeyTemplate } from './key-template.ts';
import { signMac } from './mac.ts';
import { macKeyOf } from './mechanisms.ts';
import type { Session } from './session.ts';
import { type Unwrapping, unwrap, unwraps } from './unwrapping.ts';

/** RFC 5649 fills the secret up to a multiple of 8 bytes, and puts 8 before it. */
const KWP_BLOCK_BYTES = 8;

const PROBE = Buffer.from('sigild looks whether an imported key works');

/**
 * A key that is unwrapped. It becomes a session object first and has to make a MAC as that: what cannot
 * be used never stands on the token, not even for a moment.
 *
 * @param wrapped with one of the import keys, which is looked for when the key is made
 */
export function importOf(
  importKeys: ImportKeys,
  { name, algorithm, id }: NewKey & { readonly algorithm: MacAlgorithm },
  { importKeyId, bytes }: WrappedKey,
): KeySource {
  const facts = factsOf(algorithm);
  const wrapped = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const template = importedKeyTemplate({ label: name, id: Buffer.from(id), algorithm });
  return {
    objects: [{ template, proof: IMPORT_PROOF }],
    make: (session, objects) => {
      const unwrapping = importKeys.get(importKeyId);
      assertWrappedLength(unwrapping, wrapped, facts);
      const trial = new Map([...template, [pkcs11js.CKA_TOKEN, false] as const]);
      const handle = unwrapOrExplain(session, unwrapping, wrapped, trial);
      try {
        assertLength(session, handle, unwrapping, facts);
        assertUsable(session, objects, handle, algorithm, facts);
      } finally {
        destroyQuietly(session, [handle]);
      }
      return [unwrapOrExplain(session, unwrapping, wrapped, template)];
    },
  };
}

/** @throws {SigildError} ALGORITHM_UNSUPPORTED */
export function factsOf(algorithm: Algorithm): SecretFacts {
  const facts = secretsOf(algorithm);
  if (facts) return facts;
  throw new SigildError('ALGORITHM_UNSUPPORTED', `keys for ${algorithm} cannot be imported`);
}

/** What its length alone tells of the secret: it is the token that knows the rest. */
export function assertWrappedLength(
  { modulusBytes, aesMechanism }: Unwrapping,
  { byteLength }: Buffer,
  facts: SecretFacts,
): void {
  if (byteLength < modulusBytes) throw invalid('wrapped_key: it is cut off');
  if (aesMechanism === undefined) {
    if (byteLength > modulusBytes) throw invalid('wrapped_key: it is too long');
    return;
  }
  const paddedBytes = byteLength - modulusBytes - KWP_BLOCK_BYTES;
  if (paddedBytes <= 0 || paddedBytes % KWP_BLOCK_BYTES !== 0) {
    throw invalid('wrapped_key: it is cut off');
  }
  if (paddedBytes < facts.minBytes || paddedBytes > facts.maxBytes) throw wrongLength(facts);
}

/** @throws {SigildError} WRAPPED_KEY_INVALID @throws {CryptokiError} */
export function unwrapOrExplain(
  session: Session,
  unwrapping: Unwrapping,
  wrapped: Buffer,
  template: Template,
): Handle {
  try {
    return unwrap(session, unwrapping, wrapped, template);
  } catch (error) {
    if (!(error instanceof CryptokiError && mayMeanWrapping(error))) throw error;
    // SoftHSM 2.6 answers a wrong wrapping with CKR_GENERAL_ERROR, as it does a failure of its own.
    if (!unwraps(session, unwrapping)) throw error;
    throw invalid(
      'wrapped_key: it was changed, cut off, or not wrapped with this import key',
      error,
    );
  }
}

export function mayMeanWrapping({ verdict: { next, reason } }: CryptokiError): boolean {
  return next === 'check-canary' || reason === 'ALGORITHM_UNSUPPORTED';
}

/**
 * What the token tells of the secret's length. Where it tells nothing, the length of an AES key has to
 * follow from the wrapping's; HMAC is right with any that makes a MAC.
 */
function assertLength(
  session: Session,
  handle: Handle,
  { aesMechanism }: Unwrapping,
  facts: SecretFacts,
): void {
  const bytes = lengthOf(session, handle);
  if (bytes !== undefined && (bytes < facts.minBytes || bytes > facts.maxBytes)) {
    throw wrongLength(facts);
  }
  if (bytes !== undefined || aesMechanism !== undefined || facts.hash !== undefined) return;
  throw new SigildError('TOKEN_REFUSED', 'this token does not tell how long an unwrapped key is');
}

/** @throws {SigildError} WRAPPED_KEY_INVALID, TOKEN_REFUSED @throws {CryptokiError} */
function assertUsable(
  session: Session,
  objects: KeyObjects,
  handle: Handle,
  algorithm: MacAlgorithm,
  facts: SecretFacts,
): void {
  const object = objects.readMade(session, [handle]);
  if (object?.version.algorithm !== algorithm) {
    throw new SigildError(
      'TOKEN_REFUSED',
      'this token does not tell what an unwrapped key is for: an adopt rule of the configuration ' +
        `has to give its name the algorithm ${algorithm}`,
    );
  }
  try {
    signMac(session, macKeyOf(handle, algorithm), PROBE);
  } catch (error) {
    const refused = error instanceof CryptokiError && mayMeanWrapping(error);
    if (!refused) throw error;
    throw wrongLength(facts, error);
  }
}

/** @returns undefined where the token does not tell: SoftHSM 2.6 gives 0 for what was unwrapped */
function lengthOf(session: Session, handle: Handle): number | undefined {
  const type = pkcs11js.CKA_VALUE_LEN;
  return new AttributeReader().read(session, handle, [type]).number(type) || undefined;
}

function wrongLength(facts: SecretFacts, cause?: unknown): SigildError {
  return invalid(
    `wrapped_key: the secret must have ${lengthText(facts)} when it is wrapped`,
    cause,
  );
}

export function invalid(why: string, cause?: unknown): SigildError {
  return new SigildError('WRAPPED_KEY_INVALID', why, { cause });
}
