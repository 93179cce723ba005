import type { Algorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { isDestroyed, type Key } from '../domain/key.ts';
import { DEFAULT_SETTINGS, type KeySettings } from '../domain/key-record.ts';
import type { TokenInfo } from '../domain/token-info.ts';
import { encodeVersionId } from '../domain/version-id.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import { untilAborted } from './deadline.ts';
import type { KeyCatalog } from './key-catalog.ts';
import { assertRotationPeriod } from './key-settings.ts';
import type { Token } from './ports.ts';
import { hasTag, requestTag } from './request-tag.ts';
import type { Turns } from './turns.ts';

export interface KeyServiceOptions {
  readonly token: Pick<Token, 'createKey' | 'info'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  readonly enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly minRotationPeriodMs: number;
  /** Shared with all else that changes keys. */
  readonly turns: Turns;
  readonly now?: () => number;
}

export interface CreateKeyItem {
  readonly key: string;
  readonly algorithm: Algorithm;
  /** undefined: a repeated call is refused. */
  readonly requestId: string | undefined;
  readonly settings: KeySettings;
  /** Whether the name may have been that of a key whose versions are all DESTROYED. */
  readonly reuseName?: boolean;
}

export interface Page {
  readonly keys: readonly Key[];
  /** The name after which the next page starts; undefined on the last page. */
  readonly nextAfter: string | undefined;
}

/** CreateKey, GetKey, ListKeys and GetTokenInfo. */
export class KeyService {
  readonly #token: KeyServiceOptions['token'];
  readonly #catalog: KeyCatalog;
  readonly #policy: AccessPolicy;
  readonly #enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly #minRotationPeriodMs: number;
  readonly #turns: Turns;
  readonly #now: () => number;

  constructor(options: KeyServiceOptions) {
    this.#token = options.token;
    this.#catalog = options.catalog;
    this.#policy = options.policy;
    this.#enabledAlgorithms = options.enabledAlgorithms;
    this.#minRotationPeriodMs = options.minRotationPeriodMs;
    this.#turns = options.turns;
    this.#now = options.now ?? Date.now;
  }

  /**
   * @throws {SigildError} PERMISSION_DENIED, ALGORITHM_DISABLED, FIELD_INVALID, and as
   *   {@link Token.createKey}
   */
  async createKey(context: RequestContext, item: CreateKeyItem): Promise<Key> {
    this.#policy.authorize(context.client, 'createKey', item.key);
    assertEnabled(item.algorithm, this.#enabledAlgorithms);
    assertRotationPeriod(item.settings.rotationPeriodMs, this.#minRotationPeriodMs);
    return untilAborted(
      this.#turns.take(item.key, () => this.#create(context, item)),
      context.signal,
    );
  }

  /** @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND */
  async getKey(context: RequestContext, name: string): Promise<Key> {
    this.#policy.authorize(context.client, 'getKey', name);
    const key = await this.#catalog.find(name, context.signal, 0);
    if (!key) throw keyNotFound(name);
    return key;
  }

  /**
   * One page of the keys that the client may list, in byte order of names. The first page reads
   * the token anew.
   *
   * @param after the name that ended the page before; undefined for the first page
   * @throws {SigildError} PERMISSION_DENIED, and as {@link Token.listKeys}
   */
  async listKeys(
    context: RequestContext,
    pageSize: number,
    after: string | undefined,
  ): Promise<Page> {
    const listable = this.#policy.listable(context.client);
    context.signal.throwIfAborted();
    if (after === undefined) await untilAborted(this.#catalog.readAnew(), context.signal);
    const rest = this.#catalog
      .all()
      .filter((key) => listable(key.name) && (after === undefined || key.name > after));
    const keys = rest.slice(0, pageSize);
    return { keys, nextAfter: rest.length > pageSize ? keys.at(-1)?.name : undefined };
  }

  /** @throws {SigildError} PERMISSION_DENIED, and as {@link Token.info} */
  async getTokenInfo(context: RequestContext): Promise<TokenInfo> {
    this.#policy.authorizeTokenInfo(context.client);
    return this.#token.info(context.signal);
  }

  async #create(context: RequestContext, item: CreateKeyItem): Promise<Key> {
    const { key: name, algorithm, requestId, settings } = item;
    context.signal.throwIfAborted();
    const version = await this.#firstVersion(context, item);
    const tag = requestTag([context.client, name], requestId);
    const id = encodeVersionId({ createTimeMs: this.#now(), version, tag });
    // A name that is taken again has the settings of the key before, unless it gets its own.
    const hasRecord = version > 1 || !isDefault(settings);
    const wanted = { name, algorithm, id, ...(hasRecord && { settings }) };
    const key = await this.#token.createKey(wanted, context.signal);
    this.#catalog.remember(key);
    const made = key.versions.find((candidate) => hasTag(candidate, tag));
    if (made?.algorithm !== algorithm) {
      throw new SigildError(
        'KEY_ALREADY_EXISTS',
        `this request_id has made key ${name} with another algorithm before`,
      );
    }
    return key;
  }

  /**
   * Of a name that is taken again the number after those of all versions that there ever were. Else 1:
   * a key that another daemon makes at the same moment has that number, too, and one of the two stays.
   */
  async #firstVersion({ signal }: RequestContext, item: CreateKeyItem): Promise<number> {
    const before = await this.#catalog.find(item.key, signal, 0);
    if (!before || !isDestroyed(before)) return 1;
    if (item.reuseName) return (before.versions[0]?.version ?? 0) + 1;
    throw new SigildError(
      'KEY_ALREADY_EXISTS',
      `key ${item.key} existed, and every version of it is DESTROYED; set reuse_name to take its ` +
        'name again',
    );
  }
}

function isDefault({ rotationPeriodMs, destroyable }: KeySettings): boolean {
  return (
    rotationPeriodMs === DEFAULT_SETTINGS.rotationPeriodMs &&
    destroyable === DEFAULT_SETTINGS.destroyable
  );
}
