import pkcs11js from 'pkcs11js';
import type { Algorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { groupByName, type Key, type VersionRef } from '../domain/key.ts';
import { decodeVersionId, TAG_BYTES } from '../domain/version-id.ts';
import type { NewKey } from '../service/ports.ts';
import { type Handle, ifPresent, nativeTemplate, type Template } from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { KeyObject, KeyObjects } from './key-objects.ts';
import { differingAttributes, macKeyTemplate } from './key-template.ts';
import { assertSupported, MECHANISMS } from './mechanisms.ts';
import type { Session } from './session.ts';

/** A key, and whether this call made its version. */
export interface Creation {
  readonly key: Key;
  readonly made: boolean;
}

/**
 * Generates the first version of a key and proves its attributes. Where an earlier call has made it,
 * whose id has the same tag, it makes nothing. Another process may make a key of the same name at the
 * same time: see service/settle-creation.ts.
 *
 * @throws {SigildError} KEY_ALREADY_EXISTS, ALGORITHM_UNSUPPORTED, TOKEN_REFUSED
 * @throws {CryptokiError}
 */
export function createKey(session: Session, objects: KeyObjects, wanted: NewKey): Creation {
  const id = Buffer.from(wanted.id);
  const existing = findExisting(session, objects, wanted.name, id);
  if (existing) return { key: existing, made: false };
  return { key: groupOf([make(session, objects, wanted, id)]), made: true };
}

/**
 * As {@link createKey}, for a further version: where any object claims its number, it makes nothing.
 *
 * @throws {SigildError} ALGORITHM_UNSUPPORTED, TOKEN_REFUSED
 * @throws {CryptokiError}
 */
export function createVersion(session: Session, objects: KeyObjects, wanted: NewKey): Creation {
  const id = Buffer.from(wanted.id);
  const number = decodeVersionId(id)?.version;
  const existing = objects.named(session, wanted.name);
  if (existing.some(({ version }) => version.version === number)) {
    return { key: groupOf(existing), made: false };
  }
  return { key: groupOf([...existing, make(session, objects, wanted, id)]), made: true };
}

/** Makes a version, whatever stands on the token. */
function make(session: Session, objects: KeyObjects, wanted: NewKey, id: Buffer): KeyObject {
  assertSupported(session.slot, wanted.algorithm);
  const handle = generate(session, objects, wanted, id);
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

function generate(
  session: Session,
  objects: KeyObjects,
  { name, algorithm }: NewKey,
  id: Buffer,
): Handle {
  const template = macKeyTemplate({ label: name, id, algorithm });
  try {
    return generateProven(session, algorithm, template);
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
    return generateProven(session, algorithm, template);
  }
}

function refusesAllowedMechanisms(error: unknown): boolean {
  return error instanceof CryptokiError && error.rv === pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID;
}

function generateProven(session: Session, algorithm: Algorithm, template: Template): Handle {
  const handle = ck('C_GenerateKey', () =>
    session.lib.C_GenerateKey(
      session.handle,
      { mechanism: MECHANISMS[algorithm].generation.type },
      nativeTemplate(template),
    ),
  );
  try {
    const differing = differingAttributes(session, handle, template);
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
  return version.createTimeMs !== undefined && version.id.endsWith(tag);
}

/**
 * Destroys every object that is this version.
 *
 * @returns whether there was one, which nobody else has destroyed at the same time
 * @throws {CryptokiError}
 */
export function destroyVersion(session: Session, objects: KeyObjects, ref: VersionRef): boolean {
  const found = objects.named(session, ref.key).filter(({ version }) => version.id === ref.id);
  const destroyed = found.map(({ handle }) =>
    ifPresent(() => {
      ck('C_DestroyObject', () => session.lib.C_DestroyObject(session.handle, handle));
      return true;
    }),
  );
  return destroyed.some((wasThere) => wasThere);
}

/** Does its best: the reason for which the key has to go is what the caller must hear. */
function destroy({ lib, handle }: Session, object: Handle): void {
  try {
    lib.C_DestroyObject(handle, object);
  } catch {
    // A token that has gone keeps the object; the next CreateKey with the same request id finds it.
  }
}
