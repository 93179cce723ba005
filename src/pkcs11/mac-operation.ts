import { timingSafeEqual } from 'node:crypto';
import { brokenResult, CryptokiError, ck, ckActive } from './ck-rv.ts';
import { type MacKey, NOT_VALID, OUTPUT_BYTES } from './mac.ts';
import { openSession, type Session, type Slot } from './session.ts';

/**
 * One MAC over data that comes in pieces, on a session that nothing else uses and that is closed at
 * the end: an operation that is left half-way would stay active on it.
 */
export class MacOperation {
  readonly session: Session;
  readonly #key: MacKey;
  readonly #signs: boolean;
  #isClosed = false;

  /**
   * Opens the session and begins.
   *
   * @param signs whether the key makes MACs; else it checks one with C_Verify
   * @throws {CryptokiError}
   */
  constructor(slot: Slot, key: MacKey, signs: boolean) {
    this.session = openSession(slot);
    this.#key = key;
    this.#signs = signs;
    try {
      this.#init();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @throws {CryptokiError} after which it is to be closed */
  update(piece: Buffer): void {
    // SoftHSM 2.6 refuses zero bytes in C_SignUpdate.
    if (piece.byteLength === 0) return;
    const { lib, handle } = this.session;
    if (this.#signs) ckActive('C_SignUpdate', () => lib.C_SignUpdate(handle, piece));
    else ckActive('C_VerifyUpdate', () => lib.C_VerifyUpdate(handle, piece));
  }

  /** Of a key that signs: ends the data. @throws {CryptokiError} */
  mac(): Buffer {
    const { lib, handle } = this.session;
    const output = Buffer.allocUnsafe(OUTPUT_BYTES);
    const mac = ckActive('C_SignFinal', () => lib.C_SignFinal(handle, output));
    const { macBytes } = this.#key;
    if (mac.byteLength === macBytes) return mac;
    throw brokenResult('C_SignFinal', `a MAC of ${mac.byteLength} bytes instead of ${macBytes}`);
  }

  /** Ends the data. @param mac of any length @throws {CryptokiError} */
  matches(mac: Buffer): boolean {
    if (mac.byteLength !== this.#key.macBytes) return false;
    if (this.#signs) return timingSafeEqual(this.mac(), mac);
    const { lib, handle } = this.session;
    try {
      return ckActive('C_VerifyFinal', () => lib.C_VerifyFinal(handle, mac));
    } catch (error) {
      if (error instanceof CryptokiError && NOT_VALID.has(error.rv)) return false;
      throw error;
    }
  }

  /** Closing it again does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.session.close();
    } catch {
      // A session that the token has dropped already is as closed as it can be.
    }
  }

  #init(): void {
    const { lib, handle } = this.session;
    const { mechanism, handle: key } = this.#key;
    if (this.#signs) ck('C_SignInit', () => lib.C_SignInit(handle, mechanism, key));
    else ck('C_VerifyInit', () => lib.C_VerifyInit(handle, mechanism, key));
  }
}
