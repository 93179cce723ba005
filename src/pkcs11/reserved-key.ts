import { randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import type { MacAlgorithm } from '../domain/algorithm.ts';
import { encodeVersionId, TAG_BYTES } from '../domain/version-id.ts';
import {
  AttributeReader,
  findObjects,
  type Handle,
  nativeTemplate,
  type Template,
} from './attributes.ts';
import { ck } from './ck-rv.ts';
import { macKeyTemplate } from './key-template.ts';
import type { Session } from './session.ts';

/** A key that the daemon has for itself: no client can name its label. */
export interface ReservedKey {
  readonly handle: Handle;
  readonly id: Buffer;
}

/**
 * Finds the keys with a reserved label, of which several daemons may have made one each at the same
 * time: the one with the lowest id first.
 *
 * @param besides what else such a key has to be
 * @throws {CryptokiError}
 */
export function findReserved(
  session: Session,
  label: string,
  besides: Template = new Map(),
): ReservedKey[] {
  const handles = findObjects(
    session,
    new Map<number, number | boolean | string | Buffer>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
      [pkcs11js.CKA_TOKEN, true],
      [pkcs11js.CKA_LABEL, label],
      ...besides,
    ]),
  );
  const reader = new AttributeReader();
  return handles
    .map((handle) => {
      const id = reader.read(session, handle, [pkcs11js.CKA_ID]).bytes(pkcs11js.CKA_ID);
      return { handle, id: id ?? Buffer.alloc(0) };
    })
    .sort((a, b) => a.id.compare(b.id));
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
