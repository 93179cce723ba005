import type { KeyObject as CryptoKey } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { type Algorithm, isPairAlgorithm, type PairAlgorithm } from '../domain/algorithm.ts';
import { isKeyName } from '../domain/key.ts';
import { stateOf } from '../domain/key-state.ts';
import { decodeVersionId } from '../domain/version-id.ts';
import { AttributeReader, type Attributes, type Handle } from './attributes.ts';
import type { KeyObject } from './key-objects.ts';
import { identity, TOKEN_ATTRIBUTE_TYPES, tokenAttributes } from './key-version.ts';
import { pairAlgorithmsOf } from './pair-mechanisms.ts';
import { EC_TYPES, ecPublicKey, RSA_TYPES, rsaPublicKey, spkiOf, suitsPair } from './public-key.ts';
import type { Session } from './session.ts';

/** One of the two objects of a key pair: they have the name and the CKA_ID in common. */
export interface KeyHalf {
  readonly handle: Handle;
  readonly key: string;
  readonly ckaId: Buffer;
  readonly attributes: Attributes;
  /** Of the public half; undefined there for one that no algorithm of sigild is for. */
  readonly publicKey: CryptoKey | undefined;
  readonly isPrivate: boolean;
}

const NAME_TYPES = [pkcs11js.CKA_LABEL, pkcs11js.CKA_ID];

const PRIVATE_TYPES = [
  ...NAME_TYPES,
  pkcs11js.CKA_ALLOWED_MECHANISMS,
  pkcs11js.CKA_SIGN,
  ...TOKEN_ATTRIBUTE_TYPES,
];

const PUBLIC_TYPES = [...NAME_TYPES, pkcs11js.CKA_KEY_TYPE, pkcs11js.CKA_VERIFY];

/**
 * A public half that is alone is what a crash has left, or one of a pair that another daemon makes or
 * destroys at this moment. After this time it is the former.
 */
const ORPHAN_AGE_MS = 600_000;

/** Reads the halves of key pairs. */
export class KeyHalves {
  /** Each for objects that have the same attributes. */
  readonly #readers = {
    private: new AttributeReader(),
    public: new AttributeReader(),
    rsa: new AttributeReader(),
    ec: new AttributeReader(),
  };

  /** @returns undefined for one whose name is none of sigild's @throws {CryptokiError} */
  read(session: Session, handle: Handle, isPrivate: boolean): KeyHalf | undefined {
    const attributes = isPrivate
      ? this.#readers.private.read(session, handle, PRIVATE_TYPES)
      : this.#readers.public.read(session, handle, PUBLIC_TYPES);
    const key = attributes.text(pkcs11js.CKA_LABEL);
    if (key === undefined || !isKeyName(key)) return undefined;
    const ckaId = attributes.bytes(pkcs11js.CKA_ID) ?? Buffer.alloc(0);
    const publicKey = isPrivate ? undefined : this.#publicKey(session, handle, attributes);
    return { handle, key, ckaId, attributes, publicKey, isPrivate };
  }

  #publicKey(session: Session, handle: Handle, attributes: Attributes): CryptoKey | undefined {
    return attributes.number(pkcs11js.CKA_KEY_TYPE) === pkcs11js.CKK_RSA
      ? rsaPublicKey(this.#readers.rsa.read(session, handle, RSA_TYPES))
      : ecPublicKey(this.#readers.ec.read(session, handle, EC_TYPES));
  }
}

/**
 * The pairs that sigild serves, each private half with the public ones of its name and CKA_ID.
 *
 * @param adopted the algorithm that the rules give a key of a name
 */
export function pairUp(
  halves: readonly KeyHalf[],
  adopted: (name: string) => Algorithm | undefined,
): KeyObject[] {
  return halves
    .filter(({ isPrivate }) => isPrivate)
    .flatMap((half) =>
      othersOf(half, halves).flatMap((other) => {
        const object = objectOf(half, other, adopted(half.key));
        return object ? [object] : [];
      }),
    );
}

/** Public halves of sigild's own that will not have a private one any more. */
export function orphansOf(halves: readonly KeyHalf[], nowMs: number): Handle[] {
  return halves
    .filter((half) => isOwnPublic(half) && othersOf(half, halves).length === 0)
    .filter(({ ckaId }) => (decodeVersionId(ckaId)?.createTimeMs ?? nowMs) < nowMs - ORPHAN_AGE_MS)
    .map(({ handle }) => handle);
}

/** Whether it is the public half of a pair that sigild has made. */
export function isOwnPublic({ isPrivate, ckaId }: KeyHalf): boolean {
  return !isPrivate && decodeVersionId(ckaId) !== undefined;
}

export function isSamePublicKey(one: CryptoKey, other: CryptoKey): boolean {
  return spkiOf(one).equals(spkiOf(other));
}

function othersOf(half: KeyHalf, halves: readonly KeyHalf[]): KeyHalf[] {
  return halves.filter(
    ({ isPrivate, key, ckaId }) =>
      isPrivate !== half.isPrivate && key === half.key && ckaId.equals(half.ckaId),
  );
}

function objectOf(
  { handle, key, ckaId, attributes }: KeyHalf,
  { handle: publicHandle, publicKey, attributes: publicAttributes }: KeyHalf,
  adopted: Algorithm | undefined,
): KeyObject | undefined {
  if (!publicKey) return undefined;
  const algorithm = claims(attributes, adopted).find((claimed) => suitsPair(claimed, publicKey));
  if (algorithm === undefined) return undefined;
  const verify = publicAttributes.flag(pkcs11js.CKA_VERIFY) ?? false;
  const version = {
    key,
    algorithm,
    state: stateOf({
      sign: attributes.flag(pkcs11js.CKA_SIGN) ?? false,
      verify,
    }),
    ...identity(key, ckaId),
    attributes: tokenAttributes(attributes),
  };
  return {
    handle,
    version,
    publicHalf: { handle: publicHandle, key: publicKey, mayVerify: verify },
  };
}

/** What the mechanisms are for that the token allows the private key, else what an adopt rule says. */
function claims(attributes: Attributes, adopted: Algorithm | undefined): readonly PairAlgorithm[] {
  const allowed = attributes.numbers(pkcs11js.CKA_ALLOWED_MECHANISMS) ?? [];
  if (allowed.length > 0) return pairAlgorithmsOf(allowed);
  return adopted !== undefined && isPairAlgorithm(adopted) ? [adopted] : [];
}
