import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import type { Key, KeyVersion, VersionRef } from '../domain/key.ts';
import type { KeyState } from '../domain/key-state.ts';
import type { TokenInfo } from '../domain/token-info.ts';
import type { Warmth } from '../domain/token-options.ts';
import { decodeVersionId } from '../domain/version-id.ts';
import type { NewKey, SignedData, Token, TokenStream } from '../service/ports.ts';
import { type Creation, settleCreation, settleVersion } from '../service/settle-creation.ts';
import { KeyChanges } from './key-changes.ts';
import { MacStreams } from './mac-streams.ts';
import type { TokenSession } from './token-session.ts';

/**
 * The Token port over one session in this process. Its calls block the event loop: the daemon uses
 * sessions in host processes instead, and this is what they are compared with.
 */
export class InProcessToken implements Token {
  readonly #session: TokenSession;
  readonly #changes: KeyChanges;
  readonly #streams: MacStreams;
  readonly #warmth: Warmth;
  #nextStream = 0;

  /** @param warmth what was decided for the session */
  constructor(session: TokenSession, warmth: Warmth) {
    this.#session = session;
    this.#changes = new KeyChanges(session);
    this.#streams = new MacStreams(session);
    this.#warmth = warmth;
  }

  async findKey(name: string, signal: Cancellation): Promise<Key | undefined> {
    signal.throwIfAborted();
    return this.#session.findKey(name);
  }

  async listKeys(signal: Cancellation): Promise<readonly Key[]> {
    signal.throwIfAborted();
    return this.#session.listKeys();
  }

  async createKey(key: NewKey, signal: Cancellation): Promise<Key> {
    signal.throwIfAborted();
    const { key: created, made } = this.#changes.createKey(key);
    if (!made) return created;
    return settleCreation(this.#creation(key));
  }

  async createVersion(key: NewKey, signal: Cancellation): Promise<Key> {
    signal.throwIfAborted();
    const { key: created, made } = this.#changes.createVersion(key);
    return made ? settleVersion(this.#creation(key)) : created;
  }

  async setVersionState(version: VersionRef, state: KeyState, signal: Cancellation): Promise<Key> {
    signal.throwIfAborted();
    this.#changes.setVersionState(version, state);
    this.#streams.recheck(version);
    const key = this.#session.findKey(version.key);
    if (key) return key;
    throw new SigildError('KEY_NOT_FOUND', `key ${version.key} is no longer on the token`);
  }

  async sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    signal.throwIfAborted();
    return this.#session.sign(version, batch.map(bufferOf)).result;
  }

  async verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    signal.throwIfAborted();
    const signed = batch.map(({ data, mac }) => ({ data: bufferOf(data), mac: bufferOf(mac) }));
    return this.#session.verify(versions, signed).result.map((index) => versions[index]);
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
      destroy: async () => this.#changes.destroyVersion({ key: name, id }),
    };
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
