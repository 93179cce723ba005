import type { Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import {
  assertMayBecome,
  assertUnambiguous,
  isDestroyed,
  type Key,
  type KeyVersion,
  primaryOf,
  versionOf,
} from '../domain/key.ts';
import type { UsageState } from '../domain/key-state.ts';
import { assertMayRotateItself } from '../domain/rotation.ts';
import { encodeVersionId } from '../domain/version-id.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import { automaticTag, dueStep } from './due-rotation.ts';
import { changeInTurn } from './in-turn.ts';
import type { KeyCatalog } from './key-catalog.ts';
import { changeOwn } from './own-change.ts';
import type { AuditLog, Token } from './ports.ts';
import { hasTag, requestTag } from './request-tag.ts';
import type { NewKey } from './token-values.ts';
import type { Turns } from './turns.ts';

export interface KeyLifecycleOptions {
  readonly token: Pick<Token, 'createVersion' | 'setVersionState'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  readonly enabledAlgorithms: ReadonlySet<Algorithm>;
  /** Shared with all else that changes keys. */
  readonly turns: Turns;
  /** Told of what the daemon rotates by itself; undefined: none is kept. */
  readonly audit?: AuditLog | undefined;
  readonly now?: () => number;
}

export interface RotateKeyItem {
  readonly key: string;
  /** Whether the versions before stay ACTIVE. */
  readonly keepActive: boolean;
  /** undefined: a repeated call rotates again. */
  readonly requestId: string | undefined;
}

/** Where a further version comes from, if it is not generated. */
export interface VersionSource {
  /** Tells its request ids from those of other operations. */
  readonly scope: string;
  /** @throws {SigildError} */
  readonly make: (wanted: NewKey, signal: Cancellation) => Promise<Key>;
}

export interface UpdateKeyVersionItem {
  readonly key: string;
  readonly version: number;
  readonly state: UsageState;
}

/** Nobody waits for what the daemon does by itself. */
const ITSELF: RequestContext = { client: 'sigild', signal: new AbortController().signal };

/**
 * RotateKey and UpdateKeyVersion: what becomes of a key's versions.
 *
 * Every step leaves a key that signs and verifies. A rotation makes the new version first: from then
 * on it is the primary, as the highest ACTIVE one, and what it replaces is deactivated after it. One
 * that ends in between leaves two ACTIVE versions, of which the next rotation deactivates the older.
 */
export class KeyLifecycle {
  readonly #token: KeyLifecycleOptions['token'];
  readonly #catalog: KeyCatalog;
  readonly #policy: AccessPolicy;
  readonly #enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly #turns: Turns;
  readonly #audit: AuditLog | undefined;
  readonly #now: () => number;
  readonly #generation: VersionSource = {
    scope: 'rotate',
    make: (wanted, signal) => this.#token.createVersion(wanted, signal),
  };

  constructor(options: KeyLifecycleOptions) {
    this.#token = options.token;
    this.#catalog = options.catalog;
    this.#policy = options.policy;
    this.#enabledAlgorithms = options.enabledAlgorithms;
    this.#turns = options.turns;
    this.#audit = options.audit;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Two calls make two versions, one after the other, when they go through one daemon. Where two
   * daemons make a version at the same moment one of the two stays, and both calls return it.
   *
   * @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND, KEY_AMBIGUOUS, ALGORITHM_DISABLED, and
   *   as {@link Token.createVersion} and {@link Token.setVersionState}
   */
  async rotateKey(context: RequestContext, item: RotateKeyItem): Promise<Key> {
    this.#policy.authorize(context.client, 'rotateKey', item.key);
    return changeInTurn(this.#turns, context, item.key, (begun) =>
      this.#rotate(begun, item, this.#generation),
    );
  }

  /**
   * As {@link rotateKey}, for a version from elsewhere and a caller who is authorized.
   *
   * @throws {SigildError} as {@link rotateKey}, and what the source throws
   */
  addVersion(context: RequestContext, item: RotateKeyItem, source: VersionSource): Promise<Key> {
    return changeInTurn(this.#turns, context, item.key, (begun) =>
      this.#rotate(begun, item, source),
    );
  }

  /**
   * A state that the version has already is given to it again: a call that failed half-way is
   * finished by repeating it.
   *
   * @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND, KEY_AMBIGUOUS,
   *   KEY_STATE_FORBIDS, and as {@link Token.setVersionState}
   */
  async updateKeyVersion(context: RequestContext, item: UpdateKeyVersionItem): Promise<Key> {
    this.#policy.authorize(context.client, 'updateKeyVersion', item.key);
    return changeInTurn(this.#turns, context, item.key, (begun) => this.#update(begun, item));
  }

  /**
   * Rotates a key whose newest version is older than its rotation period, or finishes a rotation of
   * this kind that another daemon has begun, as the token shows it now.
   *
   * @returns undefined when there was nothing to do
   * @throws {SigildError} KEY_STATE_FORBIDS when no version is ACTIVE, AUDIT_UNAVAILABLE, and as
   *   {@link rotateKey}
   */
  async rotateWhenDue(name: string): Promise<Key | undefined> {
    return changeInTurn(this.#turns, ITSELF, name, async (begun) => {
      const before = await this.#catalog.find(name, begun.signal, 0);
      const step = before && dueStep(before, this.#now());
      if (!step) return undefined;
      assertUnambiguous(before);
      assertMayRotateItself(before);
      const tag = automaticTag(name, newestOf(before).version + 1);
      return changeOwn(this.#audit, { operation: 'RotateKey', key: name }, async () => {
        const key =
          step === 'rotate' ? await this.#make(begun, before, tag, this.#generation) : before;
        return this.#replaceOlder(begun, key);
      });
    });
  }

  async #rotate(context: RequestContext, item: RotateKeyItem, source: VersionSource): Promise<Key> {
    const before = await this.#find(context, item.key);
    assertUnambiguous(before);
    assertNotDestroyed(before);
    const tag = requestTag([source.scope, context.client, item.key], item.requestId);
    const made = before.versions.find((version) => hasTag(version, tag));
    // The first call may have ended before it was done; what was rotated since is another call's.
    if (made && made !== before.versions[0]) return before;
    const key = made ? before : await this.#make(context, before, tag, source);
    return item.keepActive ? key : this.#replaceOlder(context, key);
  }

  async #make(
    context: RequestContext,
    key: Key,
    tag: Uint8Array,
    source: VersionSource,
  ): Promise<Key> {
    const newest = newestOf(key);
    const { algorithm } = primaryOf(key) ?? newest;
    assertEnabled(algorithm, this.#enabledAlgorithms);
    const id = encodeVersionId({ createTimeMs: this.#now(), version: newest.version + 1, tag });
    const wanted = { name: key.name, algorithm, id };
    const made = await source.make(wanted, context.signal);
    this.#catalog.remember(made);
    return made;
  }

  /** Deactivates the ACTIVE versions before the newest one, the newest of them first. */
  async #replaceOlder(context: RequestContext, key: Key): Promise<Key> {
    const newest = newestOf(key);
    const replaced = key.versions.filter(
      ({ version, state }) => version < newest.version && state === 'ACTIVE',
    );
    let current = key;
    for (const version of replaced) current = await this.#deactivate(context, version);
    return current;
  }

  /** One that has given way to another daemon's meanwhile needs no deactivation any more. */
  async #deactivate(context: RequestContext, version: KeyVersion): Promise<Key> {
    try {
      return await this.#set(context, version, 'DEACTIVATED');
    } catch (error) {
      if (!(error instanceof SigildError && error.reason === 'KEY_NOT_FOUND')) throw error;
      return await this.#find(context, version.key);
    }
  }

  async #update(context: RequestContext, item: UpdateKeyVersionItem): Promise<Key> {
    const version = versionOf(await this.#find(context, item.key), item.version);
    assertNotScheduled(version);
    assertMayBecome(version, item.state);
    return await this.#set(context, version, item.state);
  }

  async #set({ signal }: RequestContext, version: KeyVersion, state: UsageState): Promise<Key> {
    const key = await this.#token.setVersionState(version, state, signal);
    this.#catalog.remember(key);
    return key;
  }

  /** The key as it stands on the token now. */
  async #find({ signal }: RequestContext, name: string): Promise<Key> {
    const key = await this.#catalog.find(name, signal, 0);
    if (!key) throw keyNotFound(name);
    return key;
  }
}

/** A name is taken again by CreateKey alone, which has to be told so. */
function assertNotDestroyed(key: Key): void {
  if (!isDestroyed(key)) return;
  throw new SigildError(
    'KEY_STATE_FORBIDS',
    `every version of key ${key.name} is DESTROYED; CreateKey with reuse_name makes a new key`,
  );
}

/** Restore alone takes a destruction back, whoever is granted to change states. */
function assertNotScheduled({ key, version, state }: KeyVersion): void {
  if (state !== 'DESTROY_SCHEDULED') return;
  throw new SigildError(
    'KEY_STATE_FORBIDS',
    `version ${version} of key ${key} is DESTROY_SCHEDULED; restore it first, which leaves it ` +
      'SUSPENDED',
  );
}

function newestOf(key: Key): KeyVersion {
  const [newest] = key.versions;
  if (!newest) throw new Error(`key ${key.name} has no version`);
  return newest;
}
