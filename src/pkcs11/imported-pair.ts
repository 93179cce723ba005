import { createPublicKey, type KeyObject } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { PAIR_ALGORITHMS, type PairAlgorithm } from '../domain/algorithm.ts';
import type { WrappedKey } from '../domain/key-import.ts';
import type { NewKey } from '../service/token-values.ts';
import { type Handle, nativeTemplate, type Template } from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { ImportKeys } from './import-keys.ts';
import {
  assertWrappedLength,
  factsOf,
  invalid,
  mayMeanWrapping,
  unwrapOrExplain,
} from './imported-key.ts';
import { destroyQuietly, type KeySource } from './key-creation.ts';
import { IMPORT_PROOF, PUBLIC_IMPORT_PROOF } from './key-template.ts';
import { digestOf, keyPair, signDigest, verifyHere } from './pair-signature.ts';
import { importedPairTemplates } from './pair-template.ts';
import { spkiOf, suitsPair } from './public-key.ts';
import type { Session } from './session.ts';

const PROBE = Buffer.from('sigild looks whether an imported private key works');

/**
 * A key pair whose private half is unwrapped, as in imported-key.ts, and whose public half is written
 * beside it. The public one comes first: one that a crash leaves alone is cleared away.
 *
 * @throws {SigildError} ALGORITHM_UNSUPPORTED, WRAPPED_KEY_INVALID
 */
export function pairImportOf(
  importKeys: ImportKeys,
  { name, algorithm, id }: NewKey & { readonly algorithm: PairAlgorithm },
  { importKeyId, bytes, publicKey: spki = new Uint8Array() }: WrappedKey,
): KeySource {
  const facts = factsOf(algorithm);
  const publicKey = parsePublicKey(algorithm, spki);
  const wrapped = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const templates = importedPairTemplates(
    { label: name, id: Buffer.from(id), algorithm },
    publicKey,
  );
  return {
    objects: [
      { template: templates.private, proof: IMPORT_PROOF },
      { template: templates.public, proof: PUBLIC_IMPORT_PROOF },
    ],
    make: (session) => {
      const unwrapping = importKeys.get(importKeyId);
      assertWrappedLength(unwrapping, wrapped, facts);
      const trial = new Map([...templates.private, [pkcs11js.CKA_TOKEN, false] as const]);
      const handle = unwrapOrExplain(session, unwrapping, wrapped, trial);
      try {
        assertBelongs(session, handle, algorithm, publicKey);
      } finally {
        destroyQuietly(session, [handle]);
      }
      const publicHalf = createObject(session, templates.public);
      try {
        return [unwrapOrExplain(session, unwrapping, wrapped, templates.private), publicHalf];
      } catch (error) {
        destroyQuietly(session, [publicHalf]);
        throw error;
      }
    },
  };
}

/** Of keys of a named curve with an uncompressed point, in DER. */
const EC_SPKI_BYTES = { 'P-256': 91, 'P-384': 120, 'P-521': 158 } as const;

/** Whether the point is in the form that the token is given. */
function hasWholePoint(algorithm: PairAlgorithm, spki: Uint8Array): boolean {
  const facts = PAIR_ALGORITHMS[algorithm];
  return facts.scheme !== 'ECDSA' || spki.byteLength === EC_SPKI_BYTES[facts.curve];
}

/** @throws {SigildError} WRAPPED_KEY_INVALID for what is not the one encoding of such a key */
export function parsePublicKey(algorithm: PairAlgorithm, spki: Uint8Array): KeyObject {
  const wrong = `public_key_der: it is no public key for ${algorithm}`;
  if (!hasWholePoint(algorithm, spki)) throw invalid(wrong);
  let key: KeyObject;
  let canonical: Buffer;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    canonical = spkiOf(key);
  } catch (error) {
    throw invalid(wrong, error);
  }
  // Node 20.20 takes the point at infinity for a key when bytes behind it make up for its length, and
  // aborts the process when it is asked for the curve of that key.
  if (canonical.equals(spki) && suitsPair(algorithm, key)) return key;
  throw invalid(wrong);
}

/** SoftHSM 2.6 unwraps a private key of any curve, whatever the template says. */
function assertBelongs(
  session: Session,
  handle: Handle,
  algorithm: PairAlgorithm,
  publicKey: KeyObject,
): void {
  // The public half is not used: the signature is verified here.
  const pair = keyPair(algorithm, handle, { handle, key: publicKey, mayVerify: false });
  try {
    const signature = signDigest(session, pair, digestOf(pair, PROBE));
    if (verifyHere(pair, PROBE, signature)) return;
  } catch (error) {
    if (!(error instanceof CryptokiError && mayMeanWrapping(error))) throw error;
  }
  throw invalid('wrapped_key: it is not the private key of public_key_der');
}

function createObject({ lib, handle }: Session, template: Template): Handle {
  return ck('C_CreateObject', () => lib.C_CreateObject(handle, nativeTemplate(template)));
}
