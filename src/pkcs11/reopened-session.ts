import { CryptokiError } from './ck-rv.ts';
import { pause } from './pause.ts';
import { openSession, type Session, type Slot } from './session.ts';

/** Tried twice; the canary always is, or single failures would cost a token all of its hosts. */
const REPEATS: readonly string[] = ['retry', 'find-again'];
export const CANARY_REPEATS = [...REPEATS, 'check-canary'];

/** How long a token that is short of memory gets before the one retry. */
const MEMORY_PAUSE_MS = 20;

/** A session that is opened when it is needed, and anew after a failure that spoils it. */
export class ReopenedSession {
  readonly #slot: Slot;
  readonly #onClose: () => void;
  #session: Session | undefined;

  /** @param onClose told before the session is closed, with which its objects go */
  constructor(slot: Slot, onClose: () => void) {
    this.#slot = slot;
    this.#onClose = onClose;
  }

  /** Undefined while none is needed. */
  get open(): Session | undefined {
    return this.#session;
  }

  /**
   * Runs an operation, and once more, on a new session, where its failure allows it.
   *
   * @param repeats which verdicts of ck-rv.ts do
   * @throws {CryptokiError}
   */
  repeatable<Result>(operate: (session: Session) => Result, repeats = REPEATS): Result {
    try {
      return this.once(operate);
    } catch (error) {
      if (!(error instanceof CryptokiError)) throw error;
      if (!repeats.includes(error.verdict.next)) throw error;
      // What failed may have been done all the same: then its operation is active on the session.
      this.close();
      if (error.verdict.reason === 'TOKEN_FULL') pause(MEMORY_PAUSE_MS);
      return this.once(operate);
    }
  }

  /** Runs an operation, and closes the session where its failure says so. @throws {CryptokiError} */
  once<Result>(operate: (session: Session) => Result): Result {
    try {
      this.#session ??= openSession(this.#slot);
      return operate(this.#session);
    } catch (error) {
      if (error instanceof CryptokiError && error.verdict.session === 'replaced') this.close();
      throw error;
    }
  }

  close(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#onClose();
    try {
      session?.close();
    } catch {
      // A session that the token has dropped already is as closed as it can be.
    }
  }
}
