import type { KeyObject as CryptoKey } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import type { Algorithm } from '../domain/algorithm.ts';
import { isKeyName, type KeyVersion, type VersionRef } from '../domain/key.ts';
import { stateOf } from '../domain/key-state.ts';
import type { AdoptRule } from '../domain/token-options.ts';
import { AdoptRules } from './adopt-rules.ts';
import {
  AttributeReader,
  type Attributes,
  findObjects,
  type Handle,
  ifPresent,
} from './attributes.ts';
import { distinctKeys } from './distinct-keys.ts';
import { isOwnPublic, type KeyHalf, KeyHalves, orphansOf, pairUp } from './key-pairs.ts';
import { identity, TOKEN_ATTRIBUTE_TYPES, tokenAttributes } from './key-version.ts';
import { secretAlgorithm } from './secret-algorithm.ts';
import type { Session } from './session.ts';

/** A key on the token that sigild serves. */
export interface KeyObject {
  /** Of the secret key, or of the private half of a pair. */
  readonly handle: Handle;
  readonly version: KeyVersion;
  /** Undefined for a secret key. */
  readonly publicHalf?: PublicHalf;
}

export interface PublicHalf {
  readonly handle: Handle;
  readonly key: CryptoKey;
  /** What the token says, whatever the private half may do. */
  readonly mayVerify: boolean;
}

/** What stands on the token under one name. */
export interface NamedObjects {
  readonly served: readonly KeyObject[];
  /** Whether there is any key, served or not. */
  readonly isTaken: boolean;
  /** Public halves of versions, whether or not their private ones are there. */
  readonly publicHalves: readonly VersionedHandle[];
  /** Public halves whose private ones have gone for good. */
  readonly orphans: readonly Handle[];
}

export interface VersionedHandle extends VersionRef {
  readonly handle: Handle;
}

const NAME_TYPES = [pkcs11js.CKA_LABEL, pkcs11js.CKA_ID];

const READ_TYPES = [
  pkcs11js.CKA_CLASS,
  ...NAME_TYPES,
  pkcs11js.CKA_PRIVATE,
  pkcs11js.CKA_KEY_TYPE,
  pkcs11js.CKA_ALLOWED_MECHANISMS,
  pkcs11js.CKA_SIGN,
  pkcs11js.CKA_VERIFY,
  ...TOKEN_ATTRIBUTE_TYPES,
  pkcs11js.CKA_DESTROYABLE,
];

/** Finds and reads the keys that sigild serves. */
export class KeyObjects {
  readonly #rules: AdoptRules;
  readonly #reader = new AttributeReader();
  readonly #halves = new KeyHalves();

  constructor(adopt: readonly AdoptRule[]) {
    this.#rules = new AdoptRules(adopt);
  }

  /** The served keys of one name. @throws {CryptokiError} */
  named(session: Session, name: string): KeyObject[] {
    return this.serve(session, this.#partsNamed(session, name));
  }

  /** All that stands on the token under one name. @throws {CryptokiError} */
  lookAt(session: Session, name: string): NamedObjects {
    const parts = this.#partsNamed(session, name).filter((part) => !('data' in part));
    const halves = parts.filter(isHalf);
    const publicHalves = halves.filter(isOwnPublic);
    return {
      served: this.serve(session, parts),
      isTaken: parts.length > publicHalves.length,
      publicHalves: publicHalves.map(({ handle, key, ckaId }) => ({
        ...{ handle, key, id: identity(key, ckaId).id },
      })),
      orphans: orphansOf(halves, Date.now()),
    };
  }

  /** Every secret key, served or not. @throws {CryptokiError} */
  handles(session: Session): Handle[] {
    return findObjects(session, tokenObjects([[pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY]]));
  }

  /** The algorithm that the rules give a key of this name. */
  adoptedAlgorithm(name: string): Algorithm | undefined {
    return this.#rules.algorithmOf(name);
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

  /**
   * One secret key, which another process may have destroyed since it was found.
   *
   * @returns undefined when it has gone, and for an object that sigild does not serve as it is
   * @throws {CryptokiError}
   */
  readPresent(session: Session, handle: Handle): KeyObject | undefined {
    const part = ifPresent(() => this.#read(session, handle));
    return part && 'version' in part ? part : undefined;
  }

  /** What a session has just made: a secret key, or both halves of a pair. @throws {CryptokiError} */
  readMade(session: Session, handles: readonly Handle[]): KeyObject | undefined {
    return this.serve(session, this.#parts(session, handles))[0];
  }

  /**
   * The keys that parts make which belong together, each once.
   *
   * @throws {CryptokiError}
   */
  serve(session: Session, parts: readonly TokenPart[]): KeyObject[] {
    const secrets = parts.filter((part) => 'version' in part);
    const pairs = pairUp(parts.filter(isHalf), (name) => this.adoptedAlgorithm(name));
    return distinctKeys(session, [...secrets, ...pairs]);
  }

  /** One search for objects of all classes: it costs the same for one and for all. */
  #partsNamed(session: Session, name: string): TokenPart[] {
    return this.#parts(session, findObjects(session, tokenObjects([[pkcs11js.CKA_LABEL, name]])));
  }

  #parts(session: Session, handles: readonly Handle[]): TokenPart[] {
    return handles
      .map((handle) => this.readPart(session, handle))
      .filter((part) => part !== undefined);
  }

  /**
   * @returns undefined for an object that is neither a key nor data, whose name is none of sigild's, or
   *   that has gone
   * @throws {CryptokiError}
   */
  readPart(session: Session, handle: Handle): TokenPart | undefined {
    return ifPresent(() => this.#read(session, handle));
  }

  #read(session: Session, handle: Handle): TokenPart | undefined {
    // Nearly all objects are secret keys, for which this is the one call that it takes.
    const whole = this.#reader.tryRead(session, handle, READ_TYPES);
    const objectClass = whole?.number(pkcs11js.CKA_CLASS) ?? classOf(session, handle);
    switch (objectClass) {
      case pkcs11js.CKO_SECRET_KEY:
        return this.#secret(
          session,
          handle,
          whole ?? this.#reader.read(session, handle, READ_TYPES),
        );
      case pkcs11js.CKO_PRIVATE_KEY:
        return this.#half(session, handle, true);
      case pkcs11js.CKO_PUBLIC_KEY:
        return this.#half(session, handle, false);
      case pkcs11js.CKO_DATA:
        return { data: handle };
      default:
        return undefined;
    }
  }

  #half(session: Session, handle: Handle, isPrivate: boolean): TokenPart | undefined {
    const half = this.#halves.read(session, handle, isPrivate);
    return !half || this.#rules.believe(half) ? half : { unserved: handle };
  }

  #secret(session: Session, handle: Handle, attributes: Attributes): TokenPart | undefined {
    const key = attributes.text(pkcs11js.CKA_LABEL);
    if (key === undefined || !isKeyName(key)) return undefined;
    const ckaId = attributes.bytes(pkcs11js.CKA_ID);
    const needsLogin = attributes.isSet(pkcs11js.CKA_PRIVATE);
    if (!this.#rules.believe({ key, ckaId, needsLogin })) return { unserved: handle };
    const adopted = this.#rules.algorithmOf(key);
    const algorithm = secretAlgorithm(session, handle, attributes, adopted);
    if (algorithm === undefined) return { unserved: handle };
    const version: KeyVersion = {
      key,
      algorithm,
      state: stateOf({
        sign: attributes.isSet(pkcs11js.CKA_SIGN),
        verify: attributes.isSet(pkcs11js.CKA_VERIFY),
      }),
      ...identity(key, ckaId),
      attributes: tokenAttributes(attributes),
      ...(attributes.flag(pkcs11js.CKA_DESTROYABLE) === false && { isDestroyable: false }),
    };
    return { handle, version };
  }
}

/** An object on the token: a secret key, which may not be served, half a pair, or data. */
export type TokenPart =
  | KeyObject
  | KeyHalf
  | { readonly unserved: Handle }
  | { readonly data: Handle };

function isHalf(part: TokenPart): part is KeyHalf {
  return 'isPrivate' in part;
}

/** Which class an object is of, that may have gone. */
function classOf(session: Session, handle: Handle): number | undefined {
  const types = [pkcs11js.CKA_CLASS];
  return new AttributeReader().read(session, handle, types).number(pkcs11js.CKA_CLASS);
}

type Criterion = readonly [type: number, value: string | number];

/** Not the copies of keys in sessions: they are no keys of their own. */
function tokenObjects(criteria: readonly Criterion[] = []): Map<number, number | boolean | string> {
  return new Map<number, number | boolean | string>([[pkcs11js.CKA_TOKEN, true], ...criteria]);
}
