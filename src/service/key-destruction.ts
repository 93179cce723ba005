import { checkedDelay, type DestroyDelays } from '../domain/destroy-delay.ts';
import { SigildError } from '../domain/errors.ts';
import { assertMayBecome, type Key, type KeyVersion, versionOf } from '../domain/key.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import type { RequestContext } from './caller.ts';
import { destroying, restoring, scheduling } from './destruction-record.ts';
import { assertDestroyable, assertScheduled } from './destruction-rules.ts';
import { changeInTurn } from './in-turn.ts';
import type { KeyCatalog } from './key-catalog.ts';
import { changeOwn } from './own-change.ts';
import type { AuditLog, Token } from './ports.ts';
import type { RecordChange } from './token-values.ts';
import type { Turns } from './turns.ts';

export interface KeyDestructionOptions extends DestroyDelays {
  readonly token: Pick<Token, 'changeRecord' | 'setVersionState' | 'destroyVersion'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  /** Shared with all else that changes keys. */
  readonly turns: Turns;
  /** Told of what the daemon does by itself; undefined: none is kept. */
  readonly audit?: AuditLog | undefined;
  /** Told of each version that this daemon has destroyed. */
  readonly onDestroyed: (version: KeyVersion) => void;
  readonly now?: () => number;
}

export interface RestoreItem {
  readonly key: string;
  readonly version: number;
}

export interface ScheduleDestroyItem extends RestoreItem {
  /** undefined: the configuration's default. */
  readonly delayMs: number | undefined;
}

/** The daemon itself, which waits as long as it takes. */
const NO_CLIENT: RequestContext = { client: '', signal: new AbortController().signal };

/**
 * ScheduleDestroy, Restore, and what is due.
 *
 * A version's record on the token says what is to become of it, and counts whatever else the token
 * holds of it. So a daemon that ends in the middle of a change leaves what the next one takes for done
 * or for not begun:
 *
 * 1. Scheduling writes the record, then takes what the token lets the version do. In between the
 *    version counts as scheduled, and {@link finish} takes the rest.
 * 2. Restoring takes that once more, then replaces the record. In between it is scheduled still.
 * 3. Destroying replaces the record, which stays for ever, then destroys the object. In between the
 *    version counts as destroyed, and {@link finish} destroys the object.
 *
 * Of daemons that change one version at the same moment the one whose record came first has changed
 * it, and the others decide again on top of that: see change-record.ts.
 */
export class KeyDestruction {
  readonly #options: KeyDestructionOptions;
  readonly #now: () => number;

  constructor(options: KeyDestructionOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * A version that is scheduled already keeps its time, so that a repeated call neither brings its end
   * nearer nor puts it off.
   *
   * @throws {SigildError} PERMISSION_DENIED, FIELD_INVALID for a delay out of bounds, KEY_NOT_FOUND,
   *   KEY_VERSION_NOT_FOUND, KEY_AMBIGUOUS, KEY_STATE_FORBIDS, and as {@link Token.changeRecord} and
   *   {@link Token.setVersionState}
   */
  async scheduleDestroy(context: RequestContext, item: ScheduleDestroyItem): Promise<Key> {
    this.#options.policy.authorize(context.client, 'scheduleDestroy', item.key);
    const delayMs = checkedDelay(item.delayMs, this.#options);
    return this.#inTurn(context, item.key, (begun) => this.#schedule(begun, item, delayMs));
  }

  /**
   * A version that is SUSPENDED already stays so.
   *
   * @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND, KEY_AMBIGUOUS,
   *   KEY_STATE_FORBIDS, and as {@link Token.changeRecord} and {@link Token.setVersionState}
   */
  async restore(context: RequestContext, item: RestoreItem): Promise<Key> {
    this.#options.policy.authorize(context.client, 'restore', item.key);
    return this.#inTurn(context, item.key, (begun) => this.#restore(begun, item));
  }

  /**
   * From when on there is something to {@link finish} of a key.
   *
   * @returns milliseconds since 1970; undefined when nothing is scheduled
   */
  dueTimeMs({ versions }: Key): number | undefined {
    const times = versions.flatMap(({ state, isUnfinished, destruction }) => {
      if (isUnfinished) return [0];
      return state === 'DESTROY_SCHEDULED' && destruction ? [destruction.destroyTimeMs] : [];
    });
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /**
   * Destroys what is due of a key, and does what a daemon has left undone that ended in between.
   *
   * @throws {SigildError} AUDIT_UNAVAILABLE, and as {@link Token.changeRecord},
   *   {@link Token.setVersionState} and {@link Token.destroyVersion}
   */
  async finish(name: string): Promise<void> {
    await this.#inTurn(NO_CLIENT, name, async (begun) => {
      const key = await this.#options.catalog.find(name, begun.signal, 0);
      for (const version of key?.versions ?? []) await this.#finishVersion(begun, version);
    });
  }

  async #finishVersion(context: RequestContext, version: KeyVersion): Promise<void> {
    const isDue = this.#isDue(version);
    if (!isDue && !version.isUnfinished) return;
    const isDestruction = isDue || version.state === 'DESTROYED';
    const operation = isDestruction ? 'DestroyVersion' : 'ScheduleDestroy';
    const change = { operation, key: version.key, version: version.version };
    await changeOwn(this.#options.audit, change, () => {
      if (isDue) return this.#destroy(context, version);
      return isDestruction
        ? this.#destroyObject(context, version)
        : this.#takeUsage(context, version);
    });
  }

  async #schedule(
    context: RequestContext,
    item: ScheduleDestroyItem,
    delayMs: number,
  ): Promise<Key> {
    const key = await this.#find(context, item.key);
    const version = versionOf(key, item.version);
    if (delayMs === 0 && version.state === 'DESTROYED') return key;
    assertMayBecome(version, 'DESTROY_SCHEDULED');
    assertDestroyable(key, version);
    try {
      await this.#record(context, version, scheduling(version, this.#now() + delayMs));
    } catch (error) {
      if (!isRefused(error)) throw error;
      if (delayMs > 0) throw offersAtOnce(error);
      return await this.#destroyUnrecorded(context, key, version);
    }
    const scheduled = await this.#takeUsage(context, version);
    const current = versionOf(scheduled, item.version);
    return this.#isDue(current) ? await this.#destroy(context, current) : scheduled;
  }

  async #restore(context: RequestContext, item: RestoreItem): Promise<Key> {
    const key = await this.#find(context, item.key);
    const version = versionOf(key, item.version);
    if (version.state === 'SUSPENDED') return key;
    assertScheduled(version);
    await this.#takeUsage(context, version);
    await this.#record(context, version, restoring(version));
    return await this.#find(context, item.key);
  }

  async #destroy(context: RequestContext, version: KeyVersion): Promise<Key> {
    await this.#record(context, version, destroying(version, this.#now()));
    const key = await this.#find(context, version.key);
    const current = key.versions.find(({ id }) => id === version.id);
    // Another daemon may have restored it at the last moment, or destroyed the object already.
    if (current?.state !== 'DESTROYED' || !current.isUnfinished) return key;
    return await this.#destroyObject(context, current);
  }

  async #destroyObject(context: RequestContext, version: KeyVersion): Promise<Key> {
    const { token, onDestroyed } = this.#options;
    const wasThere = await token.destroyVersion(version, context.signal);
    if (wasThere) onDestroyed(version);
    return await this.#find(context, version.key);
  }

  /** On a token that keeps no records. @returns the key as it was, but for that version */
  async #destroyUnrecorded(
    { signal }: RequestContext,
    key: Key,
    version: KeyVersion,
  ): Promise<Key> {
    const { token, catalog, onDestroyed } = this.#options;
    await token.destroyVersion(version, signal);
    onDestroyed(version);
    await catalog.find(key.name, signal, 0);
    const gone: KeyVersion = { ...version, state: 'DESTROYED' };
    return { ...key, versions: key.versions.map((other) => (other === version ? gone : other)) };
  }

  async #takeUsage({ signal }: RequestContext, version: KeyVersion): Promise<Key> {
    const { token, catalog } = this.#options;
    const key = await token.setVersionState(version, 'SUSPENDED', signal);
    catalog.remember(key);
    return key;
  }

  async #record(
    { signal }: RequestContext,
    { key, id }: KeyVersion,
    change: RecordChange,
  ): Promise<void> {
    await this.#options.token.changeRecord({ kind: 'version', key, id }, change, signal);
  }

  #inTurn<Result>(
    context: RequestContext,
    name: string,
    change: (context: RequestContext) => Promise<Result>,
  ): Promise<Result> {
    return changeInTurn(this.#options.turns, context, name, change);
  }

  /** The key as it stands on the token now. */
  async #find({ signal }: RequestContext, name: string): Promise<Key> {
    const key = await this.#options.catalog.find(name, signal, 0);
    if (!key) throw keyNotFound(name);
    return key;
  }

  #isDue({ state, destruction }: KeyVersion): boolean {
    if (state !== 'DESTROY_SCHEDULED' || !destruction) return false;
    return destruction.destroyTimeMs <= this.#now();
  }
}

function isRefused(error: unknown): error is SigildError {
  return error instanceof SigildError && error.reason === 'TOKEN_REFUSED';
}

function offersAtOnce(error: SigildError): SigildError {
  return new SigildError(
    'TOKEN_REFUSED',
    `${error.message}; a delay of 0, where keys.minDestroyDelayMs of the configuration allows it, ` +
      'destroys the version at once',
    { cause: error },
  );
}
