import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import { brokenResult } from './ck-rv.ts';
import { type MacKey, signMac } from './mac.ts';
import { MECHANISMS } from './mechanisms.ts';
import { findReserved, generateReserved, type ReservedKey } from './reserved-key.ts';
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
  #found: ReservedKey | undefined;

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
    const found = this.#found ?? findCanary(session);
    if (!found) return undefined;
    this.#found = undefined;
    const mac = signMac(session, canaryKey(found), Buffer.from(FINGERPRINT_TEXT));
    if (this.#expected && !mac.equals(this.#expected)) {
      throw brokenResult('C_Sign', 'the canary key made another MAC than before');
    }
    this.#found = found;
    return mac;
  }

  /** The key itself. @returns undefined when the token holds no canary key @throws {CryptokiError} */
  key(session: Session): MacKey | undefined {
    const found = this.#found ?? findCanary(session);
    return found && canaryKey(found);
  }

  /** Which key has signed last, in hexadecimal; empty when that failed. */
  get id(): string {
    return this.#found?.id.toString('hex') ?? '';
  }

  /** Generates the canary key. @throws {CryptokiError} */
  static generate(session: Session): void {
    generateReserved(session, CANARY_LABEL, CANARY_ALGORITHM);
  }
}

/** Where several daemons made one each at the same time, all use the one with the lowest id. */
function findCanary(session: Session): ReservedKey | undefined {
  return findReserved(session, CANARY_LABEL)[0];
}

function canaryKey({ handle }: ReservedKey): MacKey {
  return {
    handle,
    mechanism: { mechanism: MECHANISMS[CANARY_ALGORITHM].type },
    macBytes: 32,
  };
}
