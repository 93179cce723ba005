import { type KeyObject as CryptoKey, createPublicKey } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import {
  type Algorithm,
  hasTwoHalves,
  isAgreementAlgorithm,
  type TwoHalfAlgorithm,
} from '../domain/algorithm.ts';
import { isKeyName, type TokenAttributes } from '../domain/key.ts';
import { stateOf, type UsageState } from '../domain/key-state.ts';
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
  readonly isPrivate: boolean;
  /** CKA_PRIVATE: whether only who has the PIN sees it, and can have put it there. */
  readonly needsLogin: boolean;
  /** Whether the private half may sign, the public one verify. */
  readonly isUsable: boolean;
  /** Of the private half: whether it may agree upon keys. */
  readonly derives: boolean;
  /** Of the private half: what the token lets it be used with. */
  readonly mechanisms: readonly number[];
  readonly attributes: TokenAttributes;
  /** SubjectPublicKeyInfo of the public half; undefined for one that no algorithm of sigild is for. */
  readonly spki: Buffer | undefined;
}

const COMMON_TYPES = [pkcs11js.CKA_LABEL, pkcs11js.CKA_ID, pkcs11js.CKA_PRIVATE];

const PRIVATE_TYPES = [
  ...COMMON_TYPES,
  pkcs11js.CKA_ALLOWED_MECHANISMS,
  pkcs11js.CKA_SIGN,
  pkcs11js.CKA_DERIVE,
  ...TOKEN_ATTRIBUTE_TYPES,
];

const PUBLIC_TYPES = [...COMMON_TYPES, pkcs11js.CKA_KEY_TYPE, pkcs11js.CKA_VERIFY];

/**
 * A public half that is alone is what a crash has left, or one of a pair that another daemon makes or
 * destroys at this moment. After this time it is the former: the private half is not just out of
 * sight, as it would be without a login, for then the public one would be so too.
 */
const ORPHAN_AGE_MS = 600_000;

/** Reads the halves of key pairs. */
export class KeyHalves {
  readonly #privateReader = new AttributeReader();
  readonly #publicReader = new AttributeReader();

  /** @returns undefined for one whose name is none of sigild's @throws {CryptokiError} */
  read(session: Session, handle: Handle, isPrivate: boolean): KeyHalf | undefined {
    const attributes = isPrivate
      ? this.#privateReader.read(session, handle, PRIVATE_TYPES)
      : this.#publicReader.read(session, handle, PUBLIC_TYPES);
    const key = attributes.text(pkcs11js.CKA_LABEL);
    if (key === undefined || !isKeyName(key)) return undefined;
    const ckaId = attributes.bytes(pkcs11js.CKA_ID) ?? Buffer.alloc(0);
    const publicKey = isPrivate ? undefined : this.#publicKey(session, handle, attributes);
    return {
      ...{ handle, key, ckaId, isPrivate },
      needsLogin: attributes.isSet(pkcs11js.CKA_PRIVATE),
      isUsable: attributes.isSet(isPrivate ? pkcs11js.CKA_SIGN : pkcs11js.CKA_VERIFY),
      derives: attributes.isSet(pkcs11js.CKA_DERIVE),
      mechanisms: attributes.numbers(pkcs11js.CKA_ALLOWED_MECHANISMS) ?? [],
      attributes: tokenAttributes(attributes),
      spki: publicKey && spkiOf(publicKey),
    };
  }

  #publicKey(session: Session, handle: Handle, attributes: Attributes): CryptoKey | undefined {
    const isRsa = attributes.number(pkcs11js.CKA_KEY_TYPE) === pkcs11js.CKK_RSA;
    // There are other types of keys, which have neither.
    const found = this.#publicReader.tryRead(session, handle, isRsa ? RSA_TYPES : EC_TYPES);
    return found && (isRsa ? rsaPublicKey(found) : ecPublicKey(found));
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
  const publicHalves = byName(halves.filter(({ isPrivate }) => !isPrivate));
  return halves
    .filter(({ isPrivate }) => isPrivate)
    .flatMap((half) =>
      (publicHalves.get(nameOf(half)) ?? []).flatMap((other) => {
        const object = objectOf(half, other, adopted(half.key));
        return object ? [object] : [];
      }),
    );
}

/** Public halves of sigild's own that will not have a private one any more. */
export function orphansOf(halves: readonly KeyHalf[], nowMs: number): Handle[] {
  const privateHalves = byName(halves.filter(({ isPrivate }) => isPrivate));
  return halves
    .filter((half) => isOwnPublic(half) && !privateHalves.has(nameOf(half)))
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

/** What both halves of a pair have in common. */
function nameOf({ key, ckaId }: KeyHalf): string {
  return `${key}/${ckaId.toString('hex')}`;
}

function byName(halves: readonly KeyHalf[]): ReadonlyMap<string, readonly KeyHalf[]> {
  const groups = new Map<string, KeyHalf[]>();
  for (const half of halves) {
    const group = groups.get(nameOf(half));
    if (group) group.push(half);
    else groups.set(nameOf(half), [half]);
  }
  return groups;
}

function objectOf(
  half: KeyHalf,
  { handle: publicHandle, spki, isUsable: mayVerify }: KeyHalf,
  adopted: Algorithm | undefined,
): KeyObject | undefined {
  if (!spki) return undefined;
  const { handle, key, ckaId, mechanisms, attributes } = half;
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const algorithm = claims(mechanisms, adopted).find((claimed) => suitsPair(claimed, publicKey));
  if (algorithm === undefined) return undefined;
  const state = pairState(algorithm, half, mayVerify);
  return {
    handle,
    version: { key, algorithm, state, ...identity(key, ckaId), attributes },
    publicHalf: { handle: publicHandle, key: publicKey, mayVerify },
  };
}

/** Of an agreement key the private half alone tells it: see key-usage.ts. */
function pairState(
  algorithm: TwoHalfAlgorithm,
  { isUsable, derives }: KeyHalf,
  mayVerify: boolean,
): UsageState {
  if (!isAgreementAlgorithm(algorithm)) return stateOf({ sign: isUsable, verify: mayVerify });
  return stateOf({ sign: isUsable && derives, verify: derives });
}

/** What the mechanisms are for that the token allows the private key, else what an adopt rule says. */
function claims(
  allowed: readonly number[],
  adopted: Algorithm | undefined,
): readonly TwoHalfAlgorithm[] {
  if (allowed.length > 0) return pairAlgorithmsOf(allowed);
  return adopted !== undefined && hasTwoHalves(adopted) ? [adopted] : [];
}
