import { createHash } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { ALGORITHMS, type Algorithm } from '../domain/algorithm.ts';
import { isKeyName, type KeyVersion, type VersionRef, versionName } from '../domain/key.ts';
import { maySign, stateOf } from '../domain/key-state.ts';
import { type NamePattern, namePattern } from '../domain/name-pattern.ts';
import type { AdoptRule } from '../domain/token-options.ts';
import { decodeVersionId, VERSION_ID_BYTES } from '../domain/version-id.ts';
import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import { AttributeReader, type Attributes, findObjects, type Handle } from './attributes.ts';
import { CryptokiError } from './ck-rv.ts';
import { type MacKey, signMac } from './mac.ts';
import { algorithmsOf, type KeyShape, MECHANISMS, suits } from './mechanisms.ts';
import type { Session } from './session.ts';

/** An object on the token that sigild serves. */
export interface KeyObject {
  readonly handle: Handle;
  readonly version: KeyVersion;
}

const FINGERPRINT_DATA = Buffer.from(FINGERPRINT_TEXT);

const NAME_TYPES = [pkcs11js.CKA_LABEL, pkcs11js.CKA_ID];

const READ_TYPES = [
  ...NAME_TYPES,
  pkcs11js.CKA_KEY_TYPE,
  pkcs11js.CKA_ALLOWED_MECHANISMS,
  pkcs11js.CKA_SIGN,
  pkcs11js.CKA_VERIFY,
  pkcs11js.CKA_SENSITIVE,
  pkcs11js.CKA_EXTRACTABLE,
  pkcs11js.CKA_ALWAYS_SENSITIVE,
  pkcs11js.CKA_NEVER_EXTRACTABLE,
  pkcs11js.CKA_LOCAL,
];

/** Finds and reads the secret keys that sigild serves. */
export class KeyObjects {
  readonly #rules: readonly { readonly matches: NamePattern; readonly algorithm: Algorithm }[];
  readonly #reader = new AttributeReader();

  constructor(adopt: readonly AdoptRule[]) {
    this.#rules = adopt.map(({ label, algorithm }) => ({ matches: namePattern(label), algorithm }));
  }

  /** Every served key on the token. @throws {CryptokiError} */
  all(session: Session): KeyObject[] {
    return this.readEach(session, this.handles(session));
  }

  /** The served keys of one name. @throws {CryptokiError} */
  named(session: Session, name: string): KeyObject[] {
    return this.readEach(session, this.handlesNamed(session, name));
  }

  /** Every secret key, served or not. @throws {CryptokiError} */
  handles(session: Session): Handle[] {
    return findObjects(session, secretKeys());
  }

  /** Every secret key of one name, served or not. @throws {CryptokiError} */
  handlesNamed(session: Session, name: string): Handle[] {
    return findObjects(session, secretKeys([[pkcs11js.CKA_LABEL, name]]));
  }

  /** The algorithm that the rules give a key of this name. */
  adoptedAlgorithm(name: string): Algorithm | undefined {
    return this.#rules.find((rule) => rule.matches(name))?.algorithm;
  }

  /**
   * Which version an object is, if sigild serves it.
   *
   * @returns undefined for an object that can be no key of sigild, or has gone
   * @throws {CryptokiError}
   */
  readName(session: Session, handle: Handle): VersionRef | undefined {
    const attributes = ifPresent(() => this.#reader.read(session, handle, NAME_TYPES));
    const key = attributes?.text(pkcs11js.CKA_LABEL);
    if (key === undefined || !isKeyName(key)) return undefined;
    return { key, id: identity(key, attributes?.bytes(pkcs11js.CKA_ID)).id };
  }

  /** @returns undefined for an object that sigild does not serve @throws {CryptokiError} */
  read(session: Session, handle: Handle): KeyObject | undefined {
    const attributes = this.#reader.read(session, handle, READ_TYPES);
    const key = attributes.text(pkcs11js.CKA_LABEL);
    if (key === undefined || !isKeyName(key)) return undefined;
    const shape = this.#shape(session, handle, key, attributes);
    const algorithm = this.#claims(key, attributes).find((claimed) => suits(claimed, shape));
    if (algorithm === undefined) return undefined;
    const version: KeyVersion = {
      key,
      algorithm,
      state: stateOf({
        sign: attributes.flag(pkcs11js.CKA_SIGN) ?? false,
        verify: attributes.flag(pkcs11js.CKA_VERIFY) ?? false,
      }),
      ...identity(key, attributes.bytes(pkcs11js.CKA_ID)),
      attributes: {
        sensitive: attributes.flag(pkcs11js.CKA_SENSITIVE),
        extractable: attributes.flag(pkcs11js.CKA_EXTRACTABLE),
        alwaysSensitive: attributes.flag(pkcs11js.CKA_ALWAYS_SENSITIVE),
        neverExtractable: attributes.flag(pkcs11js.CKA_NEVER_EXTRACTABLE),
        local: attributes.flag(pkcs11js.CKA_LOCAL),
      },
    };
    return { handle, version };
  }

  /** Those of the objects that sigild serves and that are still there. @throws {CryptokiError} */
  readEach(session: Session, handles: readonly Handle[]): KeyObject[] {
    const objects = handles
      .map((handle) => this.readPresent(session, handle))
      .filter((object) => object !== undefined);
    return distinctKeys(session, objects);
  }

  /**
   * As {@link read}, for an object that another process may have destroyed since it was found.
   *
   * @returns undefined also when it has gone
   * @throws {CryptokiError}
   */
  readPresent(session: Session, handle: Handle): KeyObject | undefined {
    return ifPresent(() => this.read(session, handle));
  }

  /** What the one mechanism is for that the token allows the key, else what an adopt rule says. */
  #claims(name: string, attributes: Attributes): readonly Algorithm[] {
    const [mechanism, ...others] = attributes.numbers(pkcs11js.CKA_ALLOWED_MECHANISMS) ?? [];
    if (mechanism !== undefined) return others.length === 0 ? algorithmsOf(mechanism) : [];
    const adopted = this.adoptedAlgorithm(name);
    return adopted === undefined ? [] : [adopted];
  }

  /** Only of AES keys the length counts, and not every type of key has the attribute. */
  #shape(session: Session, handle: Handle, name: string, attributes: Attributes): KeyShape {
    const keyType = attributes.number(pkcs11js.CKA_KEY_TYPE);
    if (keyType !== pkcs11js.CKK_AES) return { keyType, valueBytes: undefined };
    const length = this.#reader.read(session, handle, [pkcs11js.CKA_VALUE_LEN]);
    const valueBytes = length.number(pkcs11js.CKA_VALUE_LEN);
    if (valueBytes) return { keyType, valueBytes };
    // SoftHSM 2.6 gives 0 for a key that was unwrapped: there an adopt rule says what it is for.
    const adopted = this.adoptedAlgorithm(name);
    return { keyType, valueBytes: adopted && ALGORITHMS[adopted].keyBytes };
  }
}

/** @returns undefined where the object that is read has gone */
function ifPresent<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    const gone = error instanceof CryptokiError && error.rv === pkcs11js.CKR_OBJECT_HANDLE_INVALID;
    if (gone) return undefined;
    throw error;
  }
}

type Criterion = readonly [type: number, value: string];

/** Token objects only: copies of keys in sessions are not keys of their own. */
function secretKeys(criteria: readonly Criterion[] = []): Map<number, number | boolean | string> {
  return new Map<number, number | boolean | string>([
    [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
    [pkcs11js.CKA_TOKEN, true],
    ...criteria,
  ]);
}

/** A CKA_ID that is not ours counts as version 1. */
function identity(
  name: string,
  ckaId: Buffer = Buffer.alloc(0),
): Pick<KeyVersion, 'id' | 'version' | 'createTimeMs'> {
  const ours = decodeVersionId(ckaId);
  if (ours) {
    return { id: ckaId.toString('hex'), version: ours.version, createTimeMs: ours.createTimeMs };
  }
  const id =
    ckaId.byteLength === VERSION_ID_BYTES
      ? ckaId
      : createHash('sha256')
          .update(JSON.stringify([name, ckaId.toString('hex')]))
          .digest()
          .subarray(0, VERSION_ID_BYTES);
  return { id: id.toString('hex'), version: 1, createTimeMs: undefined };
}

/**
 * Leaves out an object of the same name, id and key as one before it. SoftHSM 2.6 lists an object
 * twice, with two handles, when several threads of a process have looked for it at the same time.
 */
function distinctKeys(session: Session, objects: readonly KeyObject[]): KeyObject[] {
  const byName = new Map<string, KeyObject[]>();
  for (const object of objects) {
    const name = versionName(object.version);
    const known = byName.get(name) ?? [];
    if (!known.some((other) => isSameKey(session, other, object))) known.push(object);
    byName.set(name, known);
  }
  return [...byName.values()].flat();
}

/**
 * Keys that make one MAC of the reserved text are one key. Of keys that may not sign none is known;
 * there an id of ours has to do, which no two keys have that sigild has made.
 */
function isSameKey(session: Session, one: KeyObject, other: KeyObject): boolean {
  if (!maySign(one.version.state) || !maySign(other.version.state)) {
    return one.version.createTimeMs !== undefined && one.version.state === other.version.state;
  }
  const [mac, otherMac] = [one, other].map((object) =>
    signMac(session, macKeyOf(object), FINGERPRINT_DATA),
  );
  return mac !== undefined && otherMac !== undefined && mac.equals(otherMac);
}

/** An object as MACs are made with it. */
export function macKeyOf({ handle, version: { algorithm } }: KeyObject): MacKey {
  const { type } = MECHANISMS[algorithm];
  return { handle, mechanism: { mechanism: type }, macBytes: ALGORITHMS[algorithm].macBytes };
}
