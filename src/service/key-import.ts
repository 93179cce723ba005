import type { Algorithm } from '../domain/algorithm.ts';
import { fieldInvalid, SigildError } from '../domain/errors.ts';
import type { Key } from '../domain/key.ts';
import {
  type ImportKey,
  type SecretFacts,
  secretsOf,
  type WrappedKey,
} from '../domain/key-import.ts';
import { encodeVersionId } from '../domain/version-id.ts';
import type { AccessPolicy } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import { untilAborted } from './deadline.ts';
import type { ImportKeyRegister } from './import-key-register.ts';
import { changeInTurn } from './in-turn.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { KeyLifecycle } from './key-lifecycle.ts';
import type { Token } from './ports.ts';
import { hasTag, requestTag } from './request-tag.ts';
import type { NewKey } from './token-values.ts';
import type { Turns } from './turns.ts';

export interface KeyImportOptions {
  readonly token: Pick<Token, 'createKey' | 'createVersion' | 'makeImportKey'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  readonly enabledAlgorithms: ReadonlySet<Algorithm>;
  /** Shared with all else that changes keys. */
  readonly turns: Turns;
  readonly lifecycle: Pick<KeyLifecycle, 'addVersion'>;
  readonly importKeys: Pick<ImportKeyRegister, 'add' | 'take'>;
  readonly now?: () => number;
}

export interface ImportKeyItem {
  readonly key: string;
  readonly algorithm: Algorithm;
  readonly wrapped: WrappedKey;
  /** undefined: a repeated call is refused, or makes a further version. */
  readonly requestId: string | undefined;
  /** Makes a further version of a key instead of a key. */
  readonly newVersion: boolean;
  /** Whether the versions before that stay ACTIVE. */
  readonly keepActive: boolean;
}

/** An import key, and how to use it. */
export interface OfferedImportKey extends ImportKey {
  /** Milliseconds since 1970. */
  readonly expireTimeMs: number;
  readonly secrets: SecretFacts;
}

const SCOPE = 'import';

const RETRY_MS = 100;

/** GetImportKey and ImportKey: keys that come from outside, wrapped for the token. */
export class KeyImport {
  readonly #options: KeyImportOptions;
  readonly #now: () => number;

  constructor(options: KeyImportOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * A client's import keys are made one after the other, as making one takes the token long.
   *
   * @throws {SigildError} PERMISSION_DENIED, ALGORITHM_DISABLED, and as {@link Token.makeImportKey}
   */
  async getImportKey(context: RequestContext, algorithm: Algorithm): Promise<OfferedImportKey> {
    const { policy, enabledAlgorithms } = this.#options;
    policy.authorizeImportKey(context.client);
    assertEnabled(algorithm, enabledAlgorithms);
    const secrets = secretsOf(algorithm);
    if (!secrets) {
      throw new SigildError('ALGORITHM_UNSUPPORTED', `keys for ${algorithm} cannot be imported`);
    }
    return untilAborted(this.#makeInTurn(context, algorithm, secrets), context.signal);
  }

  /**
   * @throws {SigildError} PERMISSION_DENIED, ALGORITHM_DISABLED, FIELD_INVALID, and as
   *   {@link Token.createKey}, or {@link KeyLifecycle.addVersion}
   */
  async importKey(context: RequestContext, item: ImportKeyItem): Promise<Key> {
    const { policy, enabledAlgorithms, lifecycle, token, turns } = this.#options;
    policy.authorize(context.client, 'importKey', item.key);
    assertEnabled(item.algorithm, enabledAlgorithms);
    if (!item.newVersion) {
      return changeInTurn(turns, context, item.key, (begun) => this.#create(begun, item));
    }
    return lifecycle.addVersion(context, item, {
      scope: SCOPE,
      make: async (wanted, signal) => {
        if (wanted.algorithm !== item.algorithm) {
          throw fieldInvalid('algorithm', `key ${item.key} is for ${wanted.algorithm}`);
        }
        const wrapped = this.#withSecret(wanted, context, item);
        return assertOwn(await token.createVersion(wrapped, signal), wanted);
      },
    });
  }

  /** The turns of clients are no keys' turns: a key's name has no colon. */
  #makeInTurn(
    { client, signal }: RequestContext,
    algorithm: Algorithm,
    secrets: SecretFacts,
  ): Promise<OfferedImportKey> {
    const { token, turns, importKeys } = this.#options;
    return turns.take(`import:${client}`, async () => {
      signal.throwIfAborted();
      const importKey = await token.makeImportKey(algorithm, signal);
      const expireTimeMs = importKeys.add(importKey.id, client, algorithm);
      return { ...importKey, expireTimeMs, secrets };
    });
  }

  async #create(context: RequestContext, item: ImportKeyItem): Promise<Key> {
    const { token, catalog } = this.#options;
    const { key: name, algorithm } = item;
    const tag = requestTag([SCOPE, context.client, name], item.requestId);
    const existing = await catalog.find(name, context.signal, 0);
    if (existing) return assertMade(existing, tag, algorithm);
    const id = encodeVersionId({ createTimeMs: this.#now(), version: 1, tag });
    const wanted = this.#withSecret({ name, algorithm, id }, context, item);
    const key = await token.createKey(wanted, context.signal);
    catalog.remember(key);
    return key;
  }

  /** @throws {SigildError} IMPORT_KEY_NOT_FOUND, FIELD_INVALID */
  #withSecret(wanted: NewKey, { client }: RequestContext, item: ImportKeyItem): NewKey {
    const { wrapped, algorithm } = item;
    this.#options.importKeys.take(wrapped.importKeyId, client, algorithm);
    return { ...wanted, wrapped };
  }
}

/**
 * Of two versions that are made at the same moment the other one may have stayed: that is not the secret.
 *
 * @throws {SigildError} TOKEN_UNAVAILABLE, which a repeated call mends
 */
function assertOwn(key: Key, { id: bytes }: NewKey): Key {
  const own = Buffer.from(bytes).toString('hex');
  if (key.versions.some(({ id }) => id === own)) return key;
  throw new SigildError(
    'TOKEN_UNAVAILABLE',
    `another daemon made a version of key ${key.name} at the same time; try again`,
    { retryAfterMs: RETRY_MS },
  );
}

/** @throws {SigildError} KEY_ALREADY_EXISTS unless the call with this tag has made the key */
function assertMade(key: Key, tag: Uint8Array, algorithm: Algorithm): Key {
  const made = key.versions.find((version) => version.version === 1 && hasTag(version, tag));
  if (made?.algorithm === algorithm) return key;
  throw new SigildError(
    'KEY_ALREADY_EXISTS',
    made
      ? `this request_id has made key ${key.name} with another algorithm before`
      : `key ${key.name} exists already; new_version makes a further version of it`,
  );
}
