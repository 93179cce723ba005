import pkcs11js from 'pkcs11js';
import { SigildError } from '../domain/errors.ts';
import { groupByName, type Key, type VersionRef } from '../domain/key.ts';
import { decodeVersionId, TAG_BYTES } from '../domain/version-id.ts';
import type { NewKey } from '../service/token-values.ts';
import { type Handle, ifPresent, type Template } from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { KeyObject, KeyObjects, NamedObjects } from './key-objects.ts';
import { differingAttributes } from './key-template.ts';
import { assertSupported } from './mechanisms.ts';
import type { Session } from './session.ts';

/** A key, and whether this call made its version. */
export interface Creation {
  readonly key: Key;
  readonly made: boolean;
}

/** The objects of a key that is to be made, and how the token makes them. */
export interface KeySource {
  /** Of a pair first the private half. */
  readonly objects: readonly {
    readonly template: Template;
    /** What the token has to report of the object beside the template. */
    readonly proof: Template;
  }[];
  /**
   * @returns the handles of the objects, in that order
   * @throws {SigildError} @throws {CryptokiError}
   */
  readonly make: (session: Session, objects: KeyObjects) => readonly Handle[];
}

/**
 * Makes the first version of a key and proves its attributes. Where an earlier call has made it,
 * whose id has the same tag, it makes nothing. Another process may make a key of the same name at the
 * same time: see service/settle-creation.ts.
 *
 * @throws {SigildError} KEY_ALREADY_EXISTS, ALGORITHM_UNSUPPORTED, TOKEN_REFUSED
 * @throws {CryptokiError}
 */
export function createKey(
  session: Session,
  objects: KeyObjects,
  wanted: NewKey,
  source: KeySource,
): Creation {
  const id = Buffer.from(wanted.id);
  const existing = findExisting(session, objects, wanted.name, id);
  if (existing) return { key: existing, made: false };
  return { key: groupOf([make(session, objects, wanted, source)]), made: true };
}

/**
 * As {@link createKey}, for a further version: where any object claims its number, it makes nothing.
 *
 * @throws {SigildError} ALGORITHM_UNSUPPORTED, TOKEN_REFUSED
 * @throws {CryptokiError}
 */
export function createVersion(
  session: Session,
  objects: KeyObjects,
  wanted: NewKey,
  source: KeySource,
): Creation {
  const number = decodeVersionId(wanted.id)?.version;
  const { served: existing, orphans } = objects.lookAt(session, wanted.name);
  destroyEach(session, orphans);
  if (existing.some(({ version }) => version.version === number)) {
    return { key: groupOf(existing), made: false };
  }
  return { key: groupOf([...existing, make(session, objects, wanted, source)]), made: true };
}

/** Makes a version, whatever stands on the token. */
function make(session: Session, objects: KeyObjects, wanted: NewKey, source: KeySource): KeyObject {
  assertSupported(session.slot, wanted.algorithm);
  const handles = makeObjects(session, objects, wanted, source);
  const object = objects.readMade(session, handles);
  if (object) return object;
  destroyQuietly(session, handles);
  throw new SigildError('TOKEN_REFUSED', 'the token does not show the key that it made');
}

/** @param objects at least one, all of one name */
function groupOf(objects: readonly KeyObject[]): Key {
  const [key] = groupByName(objects.map(({ version }) => version));
  return key as Key;
}

/** @returns the key when an earlier call with this tag made it @throws {SigildError} KEY_ALREADY_EXISTS */
function findExisting(
  session: Session,
  objects: KeyObjects,
  name: string,
  id: Buffer,
): Key | undefined {
  const { served, isTaken, orphans } = objects.lookAt(session, name);
  destroyEach(session, orphans);
  if (!isTaken) return undefined;
  if (served.some((object) => sameTag(object, id))) return groupOf(served);
  throw alreadyExists(name, served);
}

/** @param served the keys of the name that sigild serves, which may be none */
export function alreadyExists(name: string, served: readonly KeyObject[]): SigildError {
  return new SigildError(
    'KEY_ALREADY_EXISTS',
    served.length > 0
      ? `key ${name} exists already`
      : `a key with the label ${name} stands on the token already, which no adopt rule of ` +
          'the configuration covers',
  );
}

/** @returns the new objects' handles */
function makeObjects(
  session: Session,
  objects: KeyObjects,
  { name, algorithm }: NewKey,
  source: KeySource,
): readonly Handle[] {
  try {
    return makeProven(session, objects, source);
  } catch (error) {
    if (!refusesAllowedMechanisms(error)) throw error;
    // openCryptoki 3.8 has no CKA_ALLOWED_MECHANISMS: the key's algorithm must be found elsewhere.
    if (objects.adoptedAlgorithm(name) !== algorithm) {
      throw new SigildError(
        'TOKEN_REFUSED',
        'this token cannot store which algorithm a key is for: an adopt rule of the ' +
          `configuration has to give ${name} the algorithm ${algorithm}`,
        { cause: error },
      );
    }
    for (const { template } of source.objects) template.delete(pkcs11js.CKA_ALLOWED_MECHANISMS);
    return makeProven(session, objects, source);
  }
}

function refusesAllowedMechanisms(error: unknown): boolean {
  return error instanceof CryptokiError && error.rv === pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID;
}

function makeProven(session: Session, objects: KeyObjects, source: KeySource): readonly Handle[] {
  const handles = source.make(session, objects);
  try {
    const differing = source.objects.flatMap(({ template, proof }, index) =>
      differingAttributes(session, handles[index] as Handle, template, proof),
    );
    if (differing.length === 0) return handles;
    throw new SigildError(
      'TOKEN_REFUSED',
      `the token made the key with another ${differing.join(', ')} than asked for; it was destroyed`,
    );
  } catch (error) {
    destroyQuietly(session, handles);
    throw error;
  }
}

function sameTag({ version }: KeyObject, id: Buffer): boolean {
  const tag = id.toString('hex', id.byteLength - TAG_BYTES);
  return version.createTimeMs !== undefined && version.id.endsWith(tag);
}

/**
 * Destroys every object that is this version, the private half of a pair first.
 *
 * @returns whether there was one, which nobody else has destroyed at the same time
 * @throws {CryptokiError}
 */
export function destroyVersion(session: Session, objects: KeyObjects, ref: VersionRef): boolean {
  const named = objects.lookAt(session, ref.key);
  const wasThere = destroyEach(session, objectsOf(named, ref));
  destroyEach(session, named.orphans);
  return wasThere;
}

function objectsOf({ served, publicHalves }: NamedObjects, ref: VersionRef): readonly Handle[] {
  const keys = served.filter(({ version }) => version.id === ref.id);
  // One whose private half has been destroyed is no version any more.
  if (keys.length === 0) return publicHalves.filter(({ id }) => id === ref.id).map(handleOf);
  return keys.flatMap(({ handle, publicHalf }) =>
    publicHalf ? [handle, publicHalf.handle] : [handle],
  );
}

function handleOf({ handle }: { readonly handle: Handle }): Handle {
  return handle;
}

/** @returns whether one of them was there */
function destroyEach({ lib, handle }: Session, objects: readonly Handle[]): boolean {
  const destroyed = objects.map((object) =>
    ifPresent(() => {
      ck('C_DestroyObject', () => lib.C_DestroyObject(handle, object));
      return true;
    }),
  );
  return destroyed.some((wasThere) => wasThere);
}

/** Does its best: the reason for which the key has to go is what the caller must hear. */
export function destroyQuietly({ lib, handle }: Session, objects: readonly Handle[]): void {
  for (const object of objects) {
    try {
      lib.C_DestroyObject(handle, object);
    } catch {
      // A token that has gone keeps the object; the next CreateKey with the same request id finds it.
    }
  }
}
