import pkcs11js from 'pkcs11js';
import type { Algorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { groupByName, type Key, type VersionRef } from '../domain/key.ts';
import { decodeVersionId, TAG_BYTES } from '../domain/version-id.ts';
import type { NewKey } from '../service/ports.ts';
import { type Handle, nativeTemplate, type Template } from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { KeyObject, KeyObjects } from './key-objects.ts';
import { differingAttributes, GENERATED, macKeyTemplate, type SecretKey } from './key-template.ts';
import { assertSupported, MECHANISMS } from './mechanisms.ts';
import type { Session } from './session.ts';

/** A key, and whether this call made its version. */
export interface Creation {
  readonly key: Key;
  readonly made: boolean;
}

/** Where the object of a new key comes from. */
export interface KeySource {
  readonly templateOf: (key: SecretKey) => Template;
  /** What the token has to report of the object beside the template. */
  readonly proof: Template;
  /** @throws {SigildError} @throws {CryptokiError} */
  readonly make: (session: Session, objects: KeyObjects, template: Template) => Handle;
}

/** @returns a source of keys that the token generates */
export function generationOf(algorithm: Algorithm): KeySource {
  const mechanism = { mechanism: MECHANISMS[algorithm].generation.type };
  return {
    templateOf: macKeyTemplate,
    proof: GENERATED,
    make: ({ lib, handle }, _objects, template) =>
      ck('C_GenerateKey', () => lib.C_GenerateKey(handle, mechanism, nativeTemplate(template))),
  };
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
  const existing = objects.named(session, wanted.name);
  if (existing.some(({ version }) => version.version === number)) {
    return { key: groupOf(existing), made: false };
  }
  return { key: groupOf([...existing, make(session, objects, wanted, source)]), made: true };
}

/** Makes a version, whatever stands on the token. */
function make(session: Session, objects: KeyObjects, wanted: NewKey, source: KeySource): KeyObject {
  assertSupported(session.slot, wanted.algorithm);
  const handle = makeProven(session, objects, wanted, source);
  const object = objects.read(session, handle);
  if (object) return object;
  destroy(session, handle);
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
  const handles = objects.handlesNamed(session, name);
  if (handles.length === 0) return undefined;
  const served = objects.readEach(session, handles);
  if (served.some((object) => sameTag(object, id))) return groupOf(served);
  throw new SigildError(
    'KEY_ALREADY_EXISTS',
    served.length > 0
      ? `key ${name} exists already`
      : `a secret key with the label ${name} stands on the token already, which no adopt rule of ` +
          'the configuration covers',
  );
}

function makeProven(
  session: Session,
  objects: KeyObjects,
  { name, algorithm, id }: NewKey,
  source: KeySource,
): Handle {
  const template = source.templateOf({ label: name, id: Buffer.from(id), algorithm });
  try {
    return prove(session, source.make(session, objects, template), template, source.proof);
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
    template.delete(pkcs11js.CKA_ALLOWED_MECHANISMS);
    return prove(session, source.make(session, objects, template), template, source.proof);
  }
}

function refusesAllowedMechanisms(error: unknown): boolean {
  return error instanceof CryptokiError && error.rv === pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID;
}

function prove(session: Session, handle: Handle, template: Template, proof: Template): Handle {
  try {
    const differing = differingAttributes(session, handle, template, proof);
    if (differing.length === 0) return handle;
    throw new SigildError(
      'TOKEN_REFUSED',
      `the token made the key with another ${differing.join(', ')} than asked for; it was destroyed`,
    );
  } catch (error) {
    destroy(session, handle);
    throw error;
  }
}

function sameTag({ version }: KeyObject, id: Buffer): boolean {
  const tag = id.toString('hex', id.byteLength - TAG_BYTES);
  return version.version === 1 && version.createTimeMs !== undefined && version.id.endsWith(tag);
}

/** Destroys every object that is this version. @throws {CryptokiError} */
export function destroyVersion(session: Session, objects: KeyObjects, ref: VersionRef): void {
  for (const { handle, version } of objects.named(session, ref.key)) {
    if (version.id !== ref.id) continue;
    ck('C_DestroyObject', () => session.lib.C_DestroyObject(session.handle, handle));
  }
}

/** Does its best: the reason for which the key has to go is what the caller must hear. */
export function destroy({ lib, handle }: Session, object: Handle): void {
  try {
    lib.C_DestroyObject(handle, object);
  } catch {
    // A token that has gone keeps the object; the next CreateKey with the same request id finds it.
  }
}
