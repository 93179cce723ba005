import { randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import type { MacAlgorithm } from '../domain/algorithm.ts';
import { encodeVersionId, TAG_BYTES } from '../domain/version-id.ts';
import { findObjects, type Handle, nativeTemplate, type Template } from './attributes.ts';
import { ck } from './ck-rv.ts';
import { macKeyTemplate } from './key-template.ts';
import type { Session } from './session.ts';

/**
 * Finds the keys with a reserved label, which no client can name. Where several daemons made one each at
 * the same time, the one with the lowest id is the first.
 *
 * @param besides what else such a key has to be
 * @throws {CryptokiError}
 */
export function findReserved(
  session: Session,
  label: string,
  besides: Template = new Map(),
): readonly Handle[] {
  const handles = findObjects(
    session,
    new Map<number, number | boolean | string | Buffer>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
      [pkcs11js.CKA_TOKEN, true],
      // Whoever has no PIN can make others.
      [pkcs11js.CKA_PRIVATE, true],
      [pkcs11js.CKA_LABEL, label],
      ...besides,
    ]),
  );
  if (handles.length < 2) return handles;
  const keys = handles.map((handle) => ({ handle, id: idOf(session, handle) }));
  return keys.sort((a, b) => a.id.compare(b.id)).map(({ handle }) => handle);
}

/** A key's CKA_ID. @throws {CryptokiError} */
export function idOf({ lib, handle }: Session, key: Handle): Buffer {
  const [id] = ck('C_GetAttributeValue', () =>
    lib.C_GetAttributeValue(handle, key, [{ type: pkcs11js.CKA_ID }]),
  );
  return Buffer.isBuffer(id?.value) ? id.value : Buffer.alloc(0);
}

/** Generates a key with a reserved label. @returns its handle @throws {CryptokiError} */
export function generateReserved(session: Session, label: string, algorithm: MacAlgorithm): Handle {
  const tag = randomBytes(TAG_BYTES);
  const id = Buffer.from(encodeVersionId({ createTimeMs: Date.now(), version: 1, tag }));
  const template = macKeyTemplate({ label, id, algorithm });
  // It signs texts of the daemon's own only; tokens without CKA_ALLOWED_MECHANISMS have such keys too.
  template.delete(pkcs11js.CKA_ALLOWED_MECHANISMS);
  return ck('C_GenerateKey', () =>
    session.lib.C_GenerateKey(
      session.handle,
      { mechanism: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN },
      nativeTemplate(template),
    ),
  );
}
