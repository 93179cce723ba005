import type { Algorithm } from '../domain/algorithm.ts';
import type { CallOptions } from './call-options.ts';

/** What every call that changes a key may be told. */
export interface ChangeOptions extends CallOptions {
  /**
   * Changes nothing: the call fails where the change would, as far as that can be told without changing
   * the token, and else gives the key as it would be. A version that would be made has an empty id.
   */
  readonly dryRun?: boolean | undefined;
}

interface RepeatableOptions extends ChangeOptions {
  /**
   * Makes the call safe to repeat: with the same one, it returns the key that the first call made.
   * 1 to 128 printable ASCII characters; a new UUID when absent.
   */
  readonly requestId?: string | undefined;
}

export interface CreateKeyOptions extends RepeatableOptions {
  /** Takes a name again of which all versions have been destroyed. */
  readonly reuseName?: boolean | undefined;
  /**
   * Has the daemon rotate the key when its newest version is as old as this: from an hour, unless its
   * configuration says otherwise, to ten years. Absent or 0: it does not.
   */
  readonly rotationPeriodMs?: number | undefined;
  /** False: none of the key's versions is ever destroyed, and that is never changed. */
  readonly destroyable?: boolean | undefined;
}

export interface ScheduleDestroyOptions extends ChangeOptions {
  /** How long the version can be restored; what the daemon's configuration says when absent. */
  readonly delayMs?: number | undefined;
}

export interface RotateKeyOptions extends RepeatableOptions {
  /** Keeps the versions before the new one ACTIVE, for signers that name a version. */
  readonly keepActive?: boolean | undefined;
}

export interface ImportKeyOptions extends RotateKeyOptions {
  readonly algorithm: Algorithm;
  /**
   * For HMAC at least one byte: one shorter than the hash's output is filled up with zero bytes and one
   * longer than its block is hashed, as HMAC itself does, which changes no MAC. For AES-CMAC as long as
   * the cipher's key. For a key pair the private key, as PKCS #8 in DER. The client clears its own
   * copies; this one is yours to clear.
   */
  readonly secret: Uint8Array;
  /** Makes the next version of a key that is there, which signs from then on, instead of a new key. */
  readonly newVersion?: boolean | undefined;
}
