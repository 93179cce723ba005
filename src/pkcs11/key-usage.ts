import pkcs11js from 'pkcs11js';
import { isAgreementAlgorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import type { VersionRef } from '../domain/key.ts';
import type { KeyUsage } from '../domain/key-state.ts';
import { AttributeReader, type Handle } from './attributes.ts';
import { ck } from './ck-rv.ts';
import type { KeyObject, KeyObjects } from './key-objects.ts';
import type { Session } from './session.ts';

/**
 * Sets what the token lets a version do, in one call for each of its objects, and reads it back. A
 * version that it lets do just that already is left alone.
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
  if (partsOf(object, usage).every((part) => isSet(session, part))) return true;
  // Of a pair the private half first: what may sign no more must not for a moment longer.
  for (const part of partsOf(object, usage)) set(session, part);
  if (partsOf(object, usage).every((part) => isSet(session, part))) return true;
  throw new SigildError(
    'TOKEN_REFUSED',
    `the token did not take the new state of version ${object.version.version} of key ${ref.key}`,
  );
}

/** An object, and what it shall let a version do. */
interface Part {
  readonly handle: Handle;
  readonly flags: readonly { readonly type: number; readonly value: boolean }[];
}

/**
 * Of an agreement key, which derives a key to sign as well as to verify, CKA_DERIVE tells whether it may
 * do either, and CKA_SIGN whether it may sign.
 */
function partsOf(
  { handle, publicHalf, version }: KeyObject,
  { sign, verify }: KeyUsage,
): readonly Part[] {
  const signing = { type: pkcs11js.CKA_SIGN, value: sign };
  const verifying = { type: pkcs11js.CKA_VERIFY, value: verify };
  if (!publicHalf) return [{ handle, flags: [signing, verifying] }];
  const isAgreement = isAgreementAlgorithm(version.algorithm);
  const deriving = { type: pkcs11js.CKA_DERIVE, value: verify };
  return [
    { handle, flags: isAgreement ? [signing, deriving] : [signing] },
    { handle: publicHalf.handle, flags: [verifying] },
  ];
}

function set(session: Session, { handle, flags }: Part): void {
  ck('C_SetAttributeValue', () =>
    session.lib.C_SetAttributeValue(session.handle, handle, [...flags]),
  );
}

/** What the token lets a key do now. @throws {CryptokiError} */
export function readUsage(session: Session, handle: Handle): KeyUsage {
  const types = [pkcs11js.CKA_SIGN, pkcs11js.CKA_VERIFY];
  const attributes = new AttributeReader().read(session, handle, types);
  return {
    sign: attributes.isSet(pkcs11js.CKA_SIGN),
    verify: attributes.isSet(pkcs11js.CKA_VERIFY),
  };
}

function isSet(session: Session, { handle, flags }: Part): boolean {
  const types = flags.map(({ type }) => type);
  const attributes = new AttributeReader().read(session, handle, types);
  return flags.every(({ type, value }) => attributes.flag(type) === value);
}
