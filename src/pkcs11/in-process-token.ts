import type { Cancellation } from '../domain/cancellation.ts';
import type { Key, KeyVersion } from '../domain/key.ts';
import type { TokenInfo } from '../domain/token-info.ts';
import type { Warmth } from '../domain/token-options.ts';
import type { NewKey, SignedData, Token } from '../service/ports.ts';
import { settleCreation } from '../service/settle-creation.ts';
import type { TokenSession } from './token-session.ts';

/**
 * The Token port over one session in this process. Its calls block the event loop: the daemon uses
 * sessions in host processes instead, and this is what they are compared with.
 */
export class InProcessToken implements Token {
  readonly #session: TokenSession;
  readonly #warmth: Warmth;

  /** @param warmth what was decided for the session */
  constructor(session: TokenSession, warmth: Warmth) {
    this.#session = session;
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
    const { key: created, made } = this.#session.createKey(key);
    if (!made) return created;
    const id = Buffer.from(key.id).toString('hex');
    return settleCreation({
      name: key.name,
      id,
      find: async () => this.#session.findKey(key.name),
      destroy: async () => this.#session.destroyVersion({ key: key.name, id }),
    });
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

  async info(signal: Cancellation): Promise<TokenInfo> {
    signal.throwIfAborted();
    return { ...this.#session.describe(), hosts: [{ sessions: 1, warmth: this.#warmth }] };
  }

  async probe(signal: Cancellation): Promise<void> {
    signal.throwIfAborted();
    this.#session.probe();
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
