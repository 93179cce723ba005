import { SigildError } from '../domain/errors.ts';
import type { NamePattern } from '../domain/name-pattern.ts';

/** What a client can be granted on a key. */
export const OPERATIONS = [
  'createKey',
  'importKey',
  'getKey',
  'listKeys',
  'getPublicKey',
  'rotateKey',
  'updateKey',
  'updateKeyVersion',
  'scheduleDestroy',
  'restore',
  'sign',
  'verify',
  'getTokenInfo',
] as const;

export type Operation = (typeof OPERATIONS)[number];

/** Those that are done with one key. */
type KeyOperation = Exclude<Operation, 'listKeys' | 'getTokenInfo'>;

/** Those whose key need not be there. */
const CREATIONS: ReadonlySet<KeyOperation> = new Set(['createKey', 'importKey']);

export interface Grant {
  readonly keys: readonly NamePattern[];
  readonly operations: readonly Operation[];
  /** From then on it allows nothing, as if it were not there; one without such a time stays. */
  readonly expiresAtMs?: number | undefined;
}

/**
 * Decides what a client may do with a key. What no grant allows is denied.
 *
 * A client sees a key when any grant of its names it. A key that it does not see answers as a
 * missing one does, so that names cannot be guessed.
 */
export class AccessPolicy {
  readonly #now: () => number;
  #grants: ReadonlyMap<string, readonly Grant[]>;

  /** @param grants by client identity */
  constructor(grants: ReadonlyMap<string, readonly Grant[]>, now: () => number = Date.now) {
    this.#grants = grants;
    this.#now = now;
  }

  /** Puts other grants in the place of all; they count for whatever is asked from then on. */
  replace(grants: ReadonlyMap<string, readonly Grant[]>): void {
    this.#grants = grants;
  }

  /**
   * @throws {SigildError} PERMISSION_DENIED when the client sees the key but has no such grant,
   *   KEY_NOT_FOUND when it does not see the key
   */
  authorize(client: string, operation: KeyOperation, key: string): void {
    let sees = false;
    for (const grant of this.#grants.get(client) ?? []) {
      if (!covers(grant, key) || this.#hasExpired(grant)) continue;
      if (grant.operations.includes(operation)) return;
      sees = true;
    }
    // A name that is to be created cannot be missing: the answer is the same whether it exists.
    if (sees || CREATIONS.has(operation)) {
      throw this.#denied(client, operation, `key ${key}`, (grant) => covers(grant, key));
    }
    throw keyNotFound(key);
  }

  /** Whether {@link authorize} would let it pass. */
  allows(client: string, operation: KeyOperation, key: string): boolean {
    return this.#grantsOf(client, operation).some((grant) => covers(grant, key));
  }

  /**
   * Concerns no key: a grant of the operation counts, whatever keys it names.
   *
   * @throws {SigildError} PERMISSION_DENIED
   */
  authorizeTokenInfo(client: string): void {
    this.#authorizeAny(client, 'getTokenInfo');
  }

  /**
   * Concerns no key yet: a grant to import any key counts.
   *
   * @throws {SigildError} PERMISSION_DENIED
   */
  authorizeImportKey(client: string): void {
    this.#authorizeAny(client, 'importKey');
  }

  /**
   * @returns which keys the client may list
   * @throws {SigildError} PERMISSION_DENIED when it may list none
   */
  listable(client: string): NamePattern {
    const grants = this.#grantsOf(client, 'listKeys');
    if (grants.length === 0) throw this.#denied(client, 'listKeys', 'any key');
    return (name) => grants.some((grant) => covers(grant, name));
  }

  #authorizeAny(client: string, operation: Operation): void {
    if (this.#grantsOf(client, operation).length > 0) return;
    throw this.#denied(client, operation, 'any key');
  }

  #grantsOf(client: string, operation: Operation): readonly Grant[] {
    const grants = this.#grants.get(client) ?? [];
    return grants.filter(
      (grant) => grant.operations.includes(operation) && !this.#hasExpired(grant),
    );
  }

  #hasExpired({ expiresAtMs }: Grant): boolean {
    return expiresAtMs !== undefined && expiresAtMs <= this.#now();
  }

  /** @param isMeant which of the client's grants of the operation would have allowed it */
  #denied(
    client: string,
    operation: Operation,
    what: string,
    isMeant: (grant: Grant) => boolean = () => true,
  ): SigildError {
    const missed = (this.#grants.get(client) ?? [])
      .filter((grant) => grant.operations.includes(operation) && isMeant(grant))
      .map(({ expiresAtMs }) => expiresAtMs ?? 0);
    const reason =
      missed.length > 0
        ? `; its grant expired at ${new Date(Math.max(...missed)).toISOString()}`
        : "; the daemon's configuration grants it";
    return new SigildError(
      'PERMISSION_DENIED',
      `client ${client} is not granted ${operation} on ${what}${reason}`,
    );
  }
}

/** The one answer for a key that is missing and for one that the caller does not see. */
export function keyNotFound(key: string): SigildError {
  return new SigildError(
    'KEY_NOT_FOUND',
    `key ${key} does not exist, or this client has no grant on it`,
  );
}

function covers(grant: Grant, key: string): boolean {
  return grant.keys.some((matches) => matches(key));
}
