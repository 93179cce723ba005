import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import type { Handle } from './attributes.ts';
import { brokenResult } from './ck-rv.ts';
import { type MacKey, signMac } from './mac.ts';
import { MECHANISMS } from './mechanisms.ts';
import { findReserved, generateReserved, idOf } from './reserved-key.ts';
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
    generateReserved(session, CANARY_LABEL, CANARY_ALGORITHM);
  }
}

/** Where several daemons made one each at the same time, all use the one with the lowest id. */
function findCanary(session: Session): Handle | undefined {
  return findReserved(session, CANARY_LABEL)[0];
}

function canaryKey(handle: Handle): MacKey {
  return {
    handle,
    mechanism: { mechanism: MECHANISMS[CANARY_ALGORITHM].type },
    macBytes: 32,
  };
}
