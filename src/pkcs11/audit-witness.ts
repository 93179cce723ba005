import { timingSafeEqual } from 'node:crypto';
import type { AuditHead } from '../domain/audit-seal.ts';
import type { Handle } from './attributes.ts';
import { findAuditHeads, findAuditKeys, macByAuditKey } from './audit-objects.ts';
import { login, logout } from './login.ts';
import { idOf } from './reserved-key.ts';
import type { Session } from './session.ts';
import type { FoundToken } from './token-selection.ts';

interface AuditKey {
  readonly id: string;
  readonly handle: Handle;
}

/** What a token can say of audit logs: whether it made their seals, and which were the newest. */
export class AuditWitness {
  /** The newest seals, by the UUIDs of their logs, as they were when this was made. */
  readonly heads: ReadonlyMap<string, AuditHead>;
  readonly #session: Session;
  readonly #keys: readonly AuditKey[];

  /** @throws {CryptokiError} */
  constructor(session: Session) {
    this.#session = session;
    this.#keys = findAuditKeys(session).map((handle) => ({
      handle,
      id: idOf(session, handle).toString('hex'),
    }));
    const newestLast = findAuditHeads(session).toReversed();
    this.heads = new Map(newestLast.map(({ log, head }) => [log, head]));
  }

  /**
   * Makes a seal's MAC again.
   *
   * @param auditKey hexadecimal CKA_ID; undefined to try every audit key
   * @param mac hexadecimal
   * @throws {CryptokiError}
   */
  readonly checkSeal = (
    auditKey: string | undefined,
    text: Uint8Array,
    mac: string,
  ): 'sealed' | 'other' | 'no-key' => {
    const keys = this.#keys.filter(({ id }) => auditKey === undefined || id === auditKey);
    if (keys.length === 0) return 'no-key';
    const expected = Buffer.from(mac, 'hex');
    const isMade = keys.some(({ handle }) => {
      const made = macByAuditKey(this.#session, handle, Buffer.from(text));
      return made.byteLength === expected.byteLength && timingSafeEqual(made, expected);
    });
    return isMade ? 'sealed' : 'other';
  };
}

/**
 * Asks a token about audit logs.
 *
 * @param pin the user PIN, which is tried once
 * @throws {StartFailure} wrong-pin, unavailable
 * @throws {CryptokiError} for what the token refuses
 */
export async function withAuditWitness<Result>(
  { slot }: FoundToken,
  pin: string,
  work: (witness: AuditWitness) => Promise<Result>,
): Promise<Result> {
  const keeper = login(slot, pin);
  const result = await work(new AuditWitness(keeper));
  logout(keeper);
  return result;
}
