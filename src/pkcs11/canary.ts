import { randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { encodeVersionId, TAG_BYTES } from '../domain/version-id.ts';
import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import { findObjects, type Handle, nativeTemplate } from './attributes.ts';
import { brokenResult, ck } from './ck-rv.ts';
import { macKeyTemplate } from './key-template.ts';
import { type MacKey, signMac } from './mac.ts';
import { MECHANISMS } from './mechanisms.ts';
import type { Session } from './session.ts';

/** Not a key name, so that no client can use it. */
const CANARY_LABEL = 'sigild:canary';
const CANARY_ALGORITHM = 'HMAC_SHA256';

/**
 * A key on the token that only proves that the token works. It is a token object on purpose: SoftHSM
 * 2.6 goes on signing with session objects when the token's directory is gone.
 */
export class Canary {
  readonly #expected: Buffer | undefined;
  #handle: Handle | undefined;

  /** @param expected the MAC that the key must make; undefined where it is not known yet */
  constructor(expected: Buffer | undefined) {
    this.#expected = expected;
  }

  /**
   * Makes a MAC with the canary key.
   *
   * @returns undefined when the token holds no canary key
   * @throws {CryptokiError} also when the MAC is not the expected one
   */
  sign(session: Session): Buffer | undefined {
    const handle = this.#handle ?? findCanary(session);
    if (handle === undefined) return undefined;
    this.#handle = undefined;
    const mac = signMac(session, canaryKey(handle), Buffer.from(FINGERPRINT_TEXT));
    if (this.#expected && !mac.equals(this.#expected)) {
      throw brokenResult('C_Sign', 'the canary key made another MAC than before');
    }
    this.#handle = handle;
    return mac;
  }

  /** The key itself. @returns undefined when the token holds no canary key @throws {CryptokiError} */
  key(session: Session): MacKey | undefined {
    const handle = this.#handle ?? findCanary(session);
    return handle && canaryKey(handle);
  }

  /** Which key it is, in hexadecimal; to be called after {@link sign}. @throws {CryptokiError} */
  id(session: Session): string {
    return this.#handle === undefined ? '' : idOf(session, this.#handle).toString('hex');
  }

  /** Generates the canary key. @throws {CryptokiError} */
  static generate(session: Session): void {
    const tag = randomBytes(TAG_BYTES);
    const id = Buffer.from(encodeVersionId({ createTimeMs: Date.now(), version: 1, tag }));
    const template = macKeyTemplate({ label: CANARY_LABEL, id, algorithm: CANARY_ALGORITHM });
    // It signs one fixed text only; tokens without CKA_ALLOWED_MECHANISMS have canaries too.
    template.delete(pkcs11js.CKA_ALLOWED_MECHANISMS);
    ck('C_GenerateKey', () =>
      session.lib.C_GenerateKey(
        session.handle,
        { mechanism: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN },
        nativeTemplate(template),
      ),
    );
  }
}

/** Where several daemons made one each at the same time, all use the one with the lowest id. */
function findCanary(session: Session): Handle | undefined {
  const handles = findObjects(
    session,
    new Map<number, number | boolean | string>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
      [pkcs11js.CKA_TOKEN, true],
      [pkcs11js.CKA_LABEL, CANARY_LABEL],
    ]),
  );
  if (handles.length < 2) return handles[0];
  const ids = handles.map((handle) => ({ handle, id: idOf(session, handle) }));
  return ids.sort((a, b) => a.id.compare(b.id))[0]?.handle;
}

function idOf({ lib, handle }: Session, object: Handle): Buffer {
  const [id] = ck('C_GetAttributeValue', () =>
    lib.C_GetAttributeValue(handle, object, [{ type: pkcs11js.CKA_ID }]),
  );
  return Buffer.isBuffer(id?.value) ? id.value : Buffer.alloc(0);
}

function canaryKey(handle: Handle): MacKey {
  return {
    handle,
    mechanism: { mechanism: MECHANISMS[CANARY_ALGORITHM].type },
    macBytes: 32,
  };
}
