import type { Proven } from '../domain/fingerprint.ts';
import type { VersionRef } from '../domain/key.ts';
import type { SignedBytes } from './loaded-keys.ts';
import type { TokenSession } from './token-session.ts';

const ACTION = 'agreeing upon a key';

/** Signs and verifies, over one session, with keys that are agreed upon with a peer. */
export class AgreedMacs {
  readonly #session: TokenSession;

  constructor(session: TokenSession) {
    this.#session = session;
  }

  /** @param peer an uncompressed point of the curve @throws {SigildError} as Token.signAgreed */
  sign(ref: VersionRef, peer: Buffer, batch: readonly Buffer[]): Proven<Buffer[]> {
    return this.#session.withKeys(ACTION, [ref], (session, load, keys) =>
      keys.signAgreed(session, ref, load(ref), peer, batch),
    );
  }

  /**
   * @returns for each message the index of the first version whose MAC it is, or -1
   * @throws {SigildError} as Token.verifyAgreed
   */
  verify(
    refs: readonly VersionRef[],
    peer: Buffer,
    batch: readonly SignedBytes[],
  ): Proven<number[]> {
    return this.#session.withKeys(ACTION, refs, (session, load, keys) =>
      batch.map((signed) =>
        refs.findIndex((ref) => keys.matchesAgreed(session, ref, load(ref), peer, signed)),
      ),
    );
  }
}
