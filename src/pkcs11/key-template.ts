import pkcs11js from 'pkcs11js';
import { MAC_ALGORITHMS, type MacAlgorithm } from '../domain/algorithm.ts';
import { AttributeReader, type Handle, type Template, ulongArray } from './attributes.ts';
import { MECHANISMS } from './mechanisms.ts';
import type { Session } from './session.ts';

export interface SecretKey {
  readonly label: string;
  readonly id: Buffer;
  readonly algorithm: MacAlgorithm;
}

/**
 * How a new MAC key stands on the token. Every usage is set: tokens give one that is left out the
 * value true.
 */
export function macKeyTemplate({ label, id, algorithm }: SecretKey): Template {
  return new Map<number, number | boolean | string | Buffer>([
    [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
    [pkcs11js.CKA_KEY_TYPE, MECHANISMS[algorithm].keyTypes[0]],
    [pkcs11js.CKA_VALUE_LEN, MAC_ALGORITHMS[algorithm].keyBytes],
    [pkcs11js.CKA_LABEL, label],
    [pkcs11js.CKA_ID, id],
    [pkcs11js.CKA_TOKEN, true],
    [pkcs11js.CKA_PRIVATE, true],
    [pkcs11js.CKA_SENSITIVE, true],
    [pkcs11js.CKA_EXTRACTABLE, false],
    [pkcs11js.CKA_SIGN, true],
    [pkcs11js.CKA_VERIFY, true],
    [pkcs11js.CKA_ENCRYPT, false],
    [pkcs11js.CKA_DECRYPT, false],
    [pkcs11js.CKA_WRAP, false],
    [pkcs11js.CKA_UNWRAP, false],
    [pkcs11js.CKA_DERIVE, false],
    [pkcs11js.CKA_ALLOWED_MECHANISMS, ulongArray([MECHANISMS[algorithm].type])],
  ]);
}

/** As {@link macKeyTemplate}, for a key that is unwrapped: it brings its own length. */
export function importedKeyTemplate(key: SecretKey): Template {
  const template = macKeyTemplate(key);
  template.delete(pkcs11js.CKA_VALUE_LEN);
  return template;
}

/** Attributes that the token sets itself and that prove where a key comes from. */
export const KEY_PROOF: Template = new Map<number, boolean>([
  [pkcs11js.CKA_ALWAYS_SENSITIVE, true],
  [pkcs11js.CKA_NEVER_EXTRACTABLE, true],
  [pkcs11js.CKA_LOCAL, true],
]);

/** The same of the public half of a key pair, which is no secret. */
export const PUBLIC_PROOF: Template = new Map([[pkcs11js.CKA_LOCAL, true]]);

/** The same of a key that was unwrapped: nothing is known of it before that. */
export const IMPORT_PROOF: Template = new Map<number, boolean>([
  [pkcs11js.CKA_ALWAYS_SENSITIVE, false],
  [pkcs11js.CKA_NEVER_EXTRACTABLE, false],
  [pkcs11js.CKA_LOCAL, false],
]);

/** The same of the public half of an imported key pair. */
export const PUBLIC_IMPORT_PROOF: Template = new Map([[pkcs11js.CKA_LOCAL, false]]);

/**
 * Reads a new key's attributes back.
 *
 * @param proof what the token must have set itself
 * @returns the names of those that differ from the template or from the proof
 * @throws {CryptokiError}
 */
export function differingAttributes(
  session: Session,
  handle: Handle,
  template: Template,
  proof: Template,
): string[] {
  const expected = new Map([...template, ...proof]);
  const found = new AttributeReader().read(session, handle, [...expected.keys()]);
  return [...expected]
    .filter(([type, value]) => !found.bytes(type)?.equals(bytesOf(value)))
    .map(([type]) => attributeName(type));
}

function bytesOf(value: number | boolean | string | Buffer): Buffer {
  if (typeof value === 'number') return ulongArray([value]);
  if (typeof value === 'boolean') return Buffer.from([value ? 1 : 0]);
  return Buffer.from(value);
}

function attributeName(type: number): string {
  const known = Object.entries(pkcs11js).find(
    ([name, value]) => name.startsWith('CKA_') && value === type,
  );
  return known ? known[0] : `CKA 0x${type.toString(16)}`;
}
