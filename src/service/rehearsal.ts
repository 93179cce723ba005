import type { Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import type { Key, KeyVersion, VersionRef } from '../domain/key.ts';
import type { ImportKey } from '../domain/key-import.ts';
import {
  DEFAULT_SETTINGS,
  type KeyRecord,
  type RecordSubject,
  type VersionRecord,
} from '../domain/key-record.ts';
import type { UsageState } from '../domain/key-state.ts';
import { NOT_REPORTED, recordedVersions } from '../domain/recorded-versions.ts';
import type { TokenInfo } from '../domain/token-info.ts';
import { decodeVersionId, TAG_BYTES } from '../domain/version-id.ts';
import { keyNotFound } from './access-policy.ts';
import { stamped } from './change-record.ts';
import type { Token } from './ports.ts';
import { hasTag } from './request-tag.ts';
import type { KnownKeys, ListedKeys, NewKey, RecordChange } from './token-values.ts';

/** What of the token a rehearsal uses: nothing that changes it. */
export type RehearsedToken = Pick<
  Token,
  'findKey' | 'listKeys' | 'check' | 'publicKeys' | 'makeImportKey' | 'info'
>;

/**
 * The Token port for a request that only tries its work: what the request reads is the token's, what
 * it changes it alone sees, and nothing is signed or verified. So the services themselves decide, as
 * they do for the change itself, and give the key as it would be. It serves one request.
 */
export class Rehearsal implements Omit<Token, Untried> {
  readonly #token: RehearsedToken;
  readonly #findKey: Token['findKey'];
  /** By name: keys as the request would have changed them. */
  readonly #changed = new Map<string, Key>();
  /** The ids of versions that it would have made. */
  readonly #made = new Set<string>();

  /** @param findKey where it is not to be the token's */
  constructor(
    token: RehearsedToken,
    findKey: Token['findKey'] = (name, signal) => token.findKey(name, signal),
  ) {
    this.#token = token;
    this.#findKey = findKey;
  }

  /** A key as its caller may see it: a version that was not made has no id. */
  shown(key: Key): Key {
    const versions = key.versions.map((version) =>
      this.#made.has(version.id) ? { ...version, id: '' } : version,
    );
    return { ...key, versions };
  }

  async findKey(name: string, signal: Cancellation): Promise<Key | undefined> {
    return this.#changed.get(name) ?? (await this.#findKey(name, signal));
  }

  listKeys(known: KnownKeys | undefined, signal: Cancellation): Promise<ListedKeys> {
    return this.#token.listKeys(known, signal);
  }

  async createKey(wanted: NewKey, signal: Cancellation): Promise<Key> {
    const { name, algorithm, id, settings = DEFAULT_SETTINGS } = wanted;
    const found = await this.findKey(name, signal);
    const tag = id.subarray(-TAG_BYTES);
    if (found?.versions.some((version) => hasTag(version, tag))) return found;
    await this.#token.check({ use: 'make-key', algorithm, name }, signal);
    const versions = [this.#make(wanted), ...(found?.versions ?? [])];
    return this.#change({ name, versions, settings });
  }

  async createVersion(wanted: NewKey, signal: Cancellation): Promise<Key> {
    const key = await this.#present(wanted.name, signal);
    await this.#token.check({ use: 'make-version', algorithm: wanted.algorithm }, signal);
    return this.#change({ ...key, versions: [this.#make(wanted), ...key.versions] });
  }

  makeImportKey(algorithm: Algorithm, signal: Cancellation): Promise<ImportKey> {
    return this.#token.makeImportKey(algorithm, signal);
  }

  async setVersionState(ref: VersionRef, state: UsageState, signal: Cancellation): Promise<Key> {
    const key = await this.#present(ref.key, signal);
    return this.#change(
      withVersion(key, ref, (version) =>
        // A record of its destruction counts, whatever the token lets a version do.
        version.state === 'DESTROY_SCHEDULED' ? version : { ...version, state },
      ),
    );
  }

  async changeRecord(
    subject: RecordSubject,
    change: RecordChange,
    signal: Cancellation,
  ): Promise<void> {
    const key = await this.#present(subject.key, signal);
    const version = key.versions.find(({ id }) => id === subject.id);
    const record = change(subject.kind === 'version' ? version?.destruction : undefined);
    if (record) this.#change(withRecord(key, record));
  }

  /** What its record says of a version counts: there is nothing else to destroy here. */
  async destroyVersion(): Promise<boolean> {
    return false;
  }

  async sign(version: KeyVersion, _batch: unknown, signal: Cancellation): Promise<Uint8Array[]> {
    await this.#token.check({ use: 'sign', algorithm: version.algorithm }, signal);
    return [];
  }

  async verify(_versions: unknown, batch: readonly unknown[]): Promise<undefined[]> {
    return batch.map(() => undefined);
  }

  signAgreed(
    version: KeyVersion,
    _peer: Uint8Array,
    batch: unknown,
    signal: Cancellation,
  ): Promise<Uint8Array[]> {
    return this.sign(version, batch, signal);
  }

  verifyAgreed(
    versions: unknown,
    _peer: Uint8Array,
    batch: readonly unknown[],
  ): Promise<undefined[]> {
    return this.verify(versions, batch);
  }

  publicKeys(
    versions: readonly KeyVersion[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    return this.#token.publicKeys(versions, signal);
  }

  info(signal: Cancellation): Promise<TokenInfo> {
    return this.#token.info(signal);
  }

  #make({ name: key, algorithm, id: bytes }: NewKey): KeyVersion {
    const id = Buffer.from(bytes).toString('hex');
    const { version = 1, createTimeMs } = decodeVersionId(bytes) ?? {};
    this.#made.add(id);
    const attributes = NOT_REPORTED;
    return { key, id, version, algorithm, state: 'ACTIVE', createTimeMs, attributes };
  }

  #change(key: Key): Key {
    this.#changed.set(key.name, key);
    return key;
  }

  async #present(name: string, signal: Cancellation): Promise<Key> {
    const key = await this.findKey(name, signal);
    if (!key) throw keyNotFound(name);
    return key;
  }
}

/** What no request is tried with. */
type Untried = 'check' | 'probe' | 'removeRecords' | 'signStream' | 'verifyStream';

function withVersion(key: Key, ref: VersionRef, change: (version: KeyVersion) => KeyVersion): Key {
  const versions = key.versions.map((version) =>
    version.id === ref.id ? change(version) : version,
  );
  return { ...key, versions };
}

function withRecord(key: Key, record: KeyRecord): Key {
  if (record.kind === 'settings') return { ...key, settings: record.settings };
  return withVersion(key, record, (version) => recorded(version, record));
}

function recorded(version: KeyVersion, record: VersionRecord): KeyVersion {
  // What the token lets it do, without a record.
  const bare: KeyVersion = { ...version, state: 'SUSPENDED', destruction: undefined };
  const [current = version] = recordedVersions([bare], [stamped(record)]);
  return current;
}
