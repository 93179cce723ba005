import pkcs11js from 'pkcs11js';
import { SigildError } from '../domain/errors.ts';
import type { VersionRef } from '../domain/key.ts';
import type { KeyUsage } from '../domain/key-state.ts';
import { AttributeReader, type Handle } from './attributes.ts';
import { ck } from './ck-rv.ts';
import type { KeyObjects } from './key-objects.ts';
import type { Session } from './session.ts';

/**
 * Sets what the token lets a version do, in one call, and reads it back. A version that it lets do
 * just that already is left alone.
 *
 * @returns whether the token holds that version
 * @throws {SigildError} KEY_AMBIGUOUS, TOKEN_REFUSED
 * @throws {CryptokiError}
 */
export function setUsage(
  session: Session,
  objects: KeyObjects,
  ref: VersionRef,
  usage: KeyUsage,
): boolean {
  const named = objects.named(session, ref.key);
  const [object, ...others] = named.filter(({ version }) => version.id === ref.id);
  if (!object) return false;
  if (others.length > 0) {
    throw new SigildError(
      'KEY_AMBIGUOUS',
      `more than one object on the token claims to be key ${ref.key} with the id ${ref.id}`,
    );
  }
  if (hasUsage(session, object.handle, usage)) return true;
  ck('C_SetAttributeValue', () =>
    session.lib.C_SetAttributeValue(session.handle, object.handle, [
      { type: pkcs11js.CKA_SIGN, value: usage.sign },
      { type: pkcs11js.CKA_VERIFY, value: usage.verify },
    ]),
  );
  if (hasUsage(session, object.handle, usage)) return true;
  throw new SigildError(
    'TOKEN_REFUSED',
    `the token did not take the new state of version ${object.version.version} of key ${ref.key}`,
  );
}

/** What the token lets a key do now. @throws {CryptokiError} */
export function readUsage(session: Session, handle: Handle): KeyUsage {
  const types = [pkcs11js.CKA_SIGN, pkcs11js.CKA_VERIFY];
  const attributes = new AttributeReader().read(session, handle, types);
  return {
    sign: attributes.flag(pkcs11js.CKA_SIGN) ?? false,
    verify: attributes.flag(pkcs11js.CKA_VERIFY) ?? false,
  };
}

function hasUsage(session: Session, handle: Handle, { sign, verify }: KeyUsage): boolean {
  const usage = readUsage(session, handle);
  return usage.sign === sign && usage.verify === verify;
}
