import type { Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import type { Key, KeyVersion, VersionRef } from '../domain/key.ts';
import type { ImportKey } from '../domain/key-import.ts';
import type { RecordSubject, Stamp } from '../domain/key-record.ts';
import type { UsageState } from '../domain/key-state.ts';
import type { TokenInfo } from '../domain/token-info.ts';
import type { Warmth } from '../domain/token-options.ts';
import { decodeVersionId } from '../domain/version-id.ts';
import { changeRecord, type RecordStore } from '../service/change-record.ts';
import { createWithSettings } from '../service/create-with-settings.ts';
import { KeyLister } from '../service/key-lister.ts';
import type { Token } from '../service/ports.ts';
import { type Creation, settleCreation, settleVersion } from '../service/settle-creation.ts';
import type {
  Intent,
  KnownKeys,
  ListedKeys,
  NewKey,
  RecordChange,
  SignedData,
  TokenStream,
} from '../service/token-values.ts';
import { AgreedMacs } from './agreed-macs.ts';
import { checkIntent } from './intent-check.ts';
import { KeyChanges } from './key-changes.ts';
import type { SignedBytes } from './loaded-keys.ts';
import { MacStreams } from './mac-streams.ts';
import type { TokenSession } from './token-session.ts';

/**
 * The Token port over one session in this process. Its calls block the event loop: the daemon uses
 * sessions in host processes instead, and this is what they are compared with.
 */
export class InProcessToken implements Token {
  readonly #session: TokenSession;
  readonly #changes: KeyChanges;
  readonly #lister: KeyLister;
  readonly #streams: MacStreams;
  readonly #warmth: Warmth;
  #nextStream = 0;

  /** @param warmth what was decided for the session */
  constructor(session: TokenSession, warmth: Warmth) {
    this.#session = session;
    this.#changes = new KeyChanges(session);
    this.#lister = new KeyLister(async (request) => session.listKeys(request));
    this.#streams = new MacStreams(session);
    this.#warmth = warmth;
  }

  async findKey(name: string, signal: Cancellation): Promise<Key | undefined> {
    signal.throwIfAborted();
    return this.#session.findKey(name);
  }

  listKeys(known: KnownKeys | undefined, signal: Cancellation): Promise<ListedKeys> {
    return this.#lister.list(known, signal);
  }

  async check(intent: Intent, signal: Cancellation): Promise<void> {
    signal.throwIfAborted();
    checkIntent(this.#session, intent);
  }

  async createKey(key: NewKey, signal: Cancellation): Promise<Key> {
    signal.throwIfAborted();
    const make = async () => {
      const { key: created, made } = this.#changes.createKey(key);
      if (made) return await settleCreation(this.#creation(key));
      return this.#session.findKey(key.name) ?? created;
    };
    const find = async () => this.#session.findKey(key.name);
    return createWithSettings(key, { store: this.#records(key.name), find, make });
  }

  async createVersion(key: NewKey, signal: Cancellation): Promise<Key> {
    signal.throwIfAborted();
    const { key: created, made } = this.#changes.createVersion(key);
    if (made) return settleVersion(this.#creation(key));
    return this.#session.findKey(key.name) ?? created;
  }

  async makeImportKey(algorithm: Algorithm, signal: Cancellation): Promise<ImportKey> {
    signal.throwIfAborted();
    return this.#changes.makeImportKey(algorithm);
  }

  async setVersionState(
    version: VersionRef,
    state: UsageState,
    signal: Cancellation,
  ): Promise<Key> {
    signal.throwIfAborted();
    this.#changes.setVersionState(version, state);
    this.#streams.recheck(version);
    const key = this.#session.findKey(version.key);
    if (key) return key;
    throw new SigildError('KEY_NOT_FOUND', `key ${version.key} is no longer on the token`);
  }

  async changeRecord(
    subject: RecordSubject,
    change: RecordChange,
    signal: Cancellation,
  ): Promise<void> {
    signal.throwIfAborted();
    await changeRecord(this.#records(subject.key), subject, change);
  }

  async removeRecords(key: string, stamps: readonly Stamp[], signal: Cancellation): Promise<void> {
    signal.throwIfAborted();
    this.#changes.removeRecords(key, stamps);
  }

  async destroyVersion(version: VersionRef, signal: Cancellation): Promise<boolean> {
    signal.throwIfAborted();
    return this.#changes.destroyVersion(version);
  }

  async sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly Uint8Array[]> {
    signal.throwIfAborted();
    return this.#session.sign(version, batch.map(bufferOf), digests).result;
  }

  async verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    signal.throwIfAborted();
    const { result } = this.#session.verify(versions, batch.map(signedBytes), digests);
    return result.map((index) => versions[index]);
  }

  async signAgreed(
    version: KeyVersion,
    peer: Uint8Array,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    signal.throwIfAborted();
    return new AgreedMacs(this.#session).sign(version, bufferOf(peer), batch.map(bufferOf)).result;
  }

  async verifyAgreed(
    versions: readonly KeyVersion[],
    peer: Uint8Array,
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    signal.throwIfAborted();
    const macs = new AgreedMacs(this.#session);
    const { result } = macs.verify(versions, bufferOf(peer), batch.map(signedBytes));
    return result.map((index) => versions[index]);
  }

  async publicKeys(
    versions: readonly KeyVersion[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    signal.throwIfAborted();
    return this.#session.publicKeys(versions).result;
  }

  async signStream(version: KeyVersion, signal: Cancellation): Promise<TokenStream<Uint8Array>> {
    signal.throwIfAborted();
    const id = this.#nextStream++;
    this.#streams.open(id, 'sign', [version]);
    return this.#stream(id, signal, () => this.#streams.finishSign(id));
  }

  async verifyStream(
    versions: readonly KeyVersion[],
    mac: Uint8Array,
    signal: Cancellation,
  ): Promise<TokenStream<KeyVersion | undefined>> {
    signal.throwIfAborted();
    const id = this.#nextStream++;
    this.#streams.open(id, 'verify', versions);
    const finish = () => versions[this.#streams.finishVerify(id, bufferOf(mac))];
    return this.#stream(id, signal, finish);
  }

  async info(signal: Cancellation): Promise<TokenInfo> {
    signal.throwIfAborted();
    return { ...this.#session.describe(), hosts: [{ sessions: 1, warmth: this.#warmth }] };
  }

  async probe(signal: Cancellation): Promise<void> {
    signal.throwIfAborted();
    this.#session.probe();
  }

  #records(key: string): RecordStore {
    return {
      find: async () => this.#session.find(key).records.copies,
      create: async (copy) => this.#changes.createRecord(copy),
      remove: async (stamps) => this.#changes.removeRecords(key, stamps),
    };
  }

  #stream<Result>(id: number, signal: Cancellation, finish: () => Result): TokenStream<Result> {
    return {
      update: async (piece) => {
        signal.throwIfAborted();
        this.#streams.update(id, bufferOf(piece));
      },
      finish: async () => {
        signal.throwIfAborted();
        return finish();
      },
      abandon: () => this.#streams.abandon(id),
    };
  }

  #creation({ name, id: bytes }: NewKey): Creation {
    const id = Buffer.from(bytes).toString('hex');
    return {
      ...{ name, id, version: decodeVersionId(bytes)?.version ?? 1 },
      find: async () => this.#session.findKey(name),
      destroy: async () => {
        this.#changes.destroyVersion({ key: name, id });
      },
    };
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function signedBytes({ data, mac }: SignedData): SignedBytes {
  return { data: bufferOf(data), mac: bufferOf(mac) };
}
