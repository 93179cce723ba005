import { fieldInvalid } from '../domain/errors.ts';
import type { Key } from '../domain/key.ts';
import type { KeySettings, SettingsRecord } from '../domain/key-record.ts';
import { MAX_ROTATION_PERIOD_MS } from '../domain/rotation.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import type { RequestContext } from './caller.ts';
import { changeInTurn } from './in-turn.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { Token } from './ports.ts';
import type { RecordChange } from './token-values.ts';
import type { Turns } from './turns.ts';

export interface KeySettingsServiceOptions {
  readonly token: Pick<Token, 'changeRecord'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  readonly minRotationPeriodMs: number;
  /** Shared with all else that changes keys. */
  readonly turns: Turns;
}

export interface UpdateKeyItem {
  readonly key: string;
  /** undefined: no automatic rotation any more. */
  readonly rotationPeriodMs: number | undefined;
}

/** UpdateKey: how a key is treated. */
export class KeySettingsService {
  readonly #options: KeySettingsServiceOptions;

  constructor(options: KeySettingsServiceOptions) {
    this.#options = options;
  }

  /**
   * @throws {SigildError} PERMISSION_DENIED, FIELD_INVALID, KEY_NOT_FOUND, and as
   *   {@link Token.changeRecord}
   */
  async updateKey(context: RequestContext, item: UpdateKeyItem): Promise<Key> {
    const { policy, turns, minRotationPeriodMs } = this.#options;
    policy.authorize(context.client, 'updateKey', item.key);
    assertRotationPeriod(item.rotationPeriodMs, minRotationPeriodMs);
    return changeInTurn(turns, context, item.key, (begun) => this.#update(begun, item));
  }

  async #update(context: RequestContext, item: UpdateKeyItem): Promise<Key> {
    const key = await this.#find(context, item.key);
    const { id, version } = firstVersionOf(key);
    const record = { kind: 'settings', key: key.name, id, version } as const;
    const change: RecordChange = (current) => {
      const before = current?.kind === 'settings' ? current.settings : key.settings;
      return replaced(record, before, item.rotationPeriodMs);
    };
    await this.#options.token.changeRecord(record, change, context.signal);
    return await this.#find(context, item.key);
  }

  /** The key as it stands on the token now. */
  async #find({ signal }: RequestContext, name: string): Promise<Key> {
    const key = await this.#options.catalog.find(name, signal, 0);
    if (!key) throw keyNotFound(name);
    return key;
  }
}

/** @throws {SigildError} FIELD_INVALID */
export function assertRotationPeriod(periodMs: number | undefined, minMs: number): void {
  if (periodMs === undefined || (periodMs >= minMs && periodMs <= MAX_ROTATION_PERIOD_MS)) return;
  throw fieldInvalid(
    'rotation_period',
    `must be ${minMs / 1_000} s (keys.minRotationPeriodMs in the configuration) to ` +
      `${MAX_ROTATION_PERIOD_MS / 1_000} s, or 0 for no automatic rotation`,
  );
}

/** @returns undefined where the settings are so already */
function replaced(
  record: Omit<SettingsRecord, 'settings'>,
  before: KeySettings,
  rotationPeriodMs: number | undefined,
): SettingsRecord | undefined {
  if (before.rotationPeriodMs === rotationPeriodMs) return undefined;
  return { ...record, settings: { ...before, rotationPeriodMs } };
}

function firstVersionOf({ name, versions }: Key) {
  const first = versions.at(-1);
  if (!first) throw new Error(`key ${name} has no version`);
  return first;
}
