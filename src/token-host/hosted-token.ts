import type { Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import type { Key, KeyVersion, VersionRef } from '../domain/key.ts';
import type { ImportKey } from '../domain/key-import.ts';
import type { RecordSubject, Stamp } from '../domain/key-record.ts';
import type { UsageState } from '../domain/key-state.ts';
import type { TokenFacts, TokenInfo } from '../domain/token-info.ts';
import { KeyLister } from '../service/key-lister.ts';
import type { Token } from '../service/ports.ts';
import type {
  Intent,
  KnownKeys,
  ListedKeys,
  NewKey,
  RecordChange,
  SignedData,
  TokenStream,
} from '../service/token-values.ts';
import { Dispatcher } from './dispatcher.ts';
import { FingerprintRegister } from './fingerprint-register.ts';
import { Host, userOf } from './host.ts';
import { ask, emptyAnswer, keyAnswer, listingAnswer, recordsAnswer } from './host-answers.ts';
import { HostedAudit } from './hosted-audit.ts';
import { HostedKeys } from './hosted-keys.ts';
import { HostedStreams } from './hosted-streams.ts';
import type { HostedTokenOptions } from './hosted-token-options.ts';
import { decodeJson, encodeEmpty, encodeJson, OPERATION } from './protocol.ts';
import { Supervisor } from './supervisor.ts';
import { TokenChanges } from './token-changes.ts';
import { Writer } from './writer.ts';

/** A scan of the whole token may take longer than a call for one key by this factor. */
const SCAN_FACTOR = 10;

/** Changes are rare, and one at a time is soonest started. */
const WRITER_SESSIONS = 1;

/**
 * The Token port over host processes.
 *
 * What changes the token is done by a host of its own, the {@link Writer}: see {@link TokenChanges}.
 *
 * It remembers each version's fingerprint, so that an answer that was made with another key is never
 * passed on: see {@link FingerprintRegister}.
 */
export class HostedToken implements Token {
  readonly #callTimeoutMs: number;
  readonly #scanLimitMs: number;
  readonly #dispatcher: Dispatcher;
  readonly #supervisor: Supervisor;
  readonly #writer: Writer;
  readonly #changes: TokenChanges;
  readonly #keys: HostedKeys;
  readonly #lister = new KeyLister((request, signal) =>
    this.#scan(encodeJson(OPERATION.listKeys, request), listingAnswer, signal, true),
  );
  readonly #streams: HostedStreams;
  /** How things stand by now, with the host for changes left out. */
  readonly figures = () => this.#dispatcher.figures;
  readonly audit: HostedAudit;

  private constructor(options: HostedTokenOptions) {
    this.#callTimeoutMs = options.callTimeoutMs;
    this.#scanLimitMs = options.callTimeoutMs * SCAN_FACTOR;
    this.#dispatcher = new Dispatcher({
      maxWaiting: options.maxWaiting,
      onHostLost: (host, reason) => this.#supervisor.lost(host, reason),
    });
    this.#supervisor = new Supervisor({
      dispatcher: this.#dispatcher,
      hosts: options.hosts,
      onTransition: options.onTransition,
      onGiveUp: options.onGiveUp,
      startHost: (expectedSerial, signal, spare) => {
        const sessions = spare ? WRITER_SESSIONS : options.sessionsPerHost;
        return Host.start({ ...options, sessions, expectedSerial, signal, survey: !spare });
      },
    });
    this.#writer = new Writer({
      maxWaiting: options.maxWaiting,
      startHost: () => this.#supervisor.startSpare(),
      onTransition: options.onWriterTransition,
    });
    const uses = {
      ...{ dispatcher: this.#dispatcher, fingerprints: new FingerprintRegister() },
      ...{ callTimeoutMs: this.#callTimeoutMs, scanLimitMs: this.#scanLimitMs },
    };
    this.#changes = new TokenChanges({
      ...{ ...uses, writer: this.#writer },
      findKey: (name, signal) => this.findKey(name, signal),
      findRecords: (name, signal) =>
        this.#scan(encodeJson(OPERATION.findRecords, name), recordsAnswer, signal),
    });
    this.#keys = new HostedKeys(uses);
    this.#streams = new HostedStreams(uses);
    this.audit = new HostedAudit(this.#dispatcher, this.#writer, this.#scanLimitMs);
  }

  /**
   * Starts the first host; the others follow.
   *
   * @param signal ends the start
   * @throws {StartFailure}
   */
  static async start(options: HostedTokenOptions, signal?: AbortSignal): Promise<HostedToken> {
    const token = new HostedToken(options);
    const leave = () => void token.#supervisor.stop();
    signal?.addEventListener('abort', leave, { once: true });
    try {
      await token.#supervisor.start(() => token.#writer.prepare());
      return token;
    } catch (error) {
      await token.close(0);
      throw error;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  findKey(name: string, signal: Cancellation): Promise<Key | undefined> {
    return this.#scan(encodeJson(OPERATION.findKey, name), keyAnswer, signal);
  }

  listKeys(known: KnownKeys | undefined, signal: Cancellation): Promise<ListedKeys> {
    return this.#lister.list(known, signal);
  }

  check(intent: Intent, signal: Cancellation): Promise<void> {
    return this.#scan(encodeJson(OPERATION.check, intent), emptyAnswer, signal);
  }

  createKey(key: NewKey, signal: Cancellation): Promise<Key> {
    return this.#changes.createKey(key, signal);
  }

  createVersion(key: NewKey, signal: Cancellation): Promise<Key> {
    return this.#changes.createVersion(key, signal);
  }

  makeImportKey(algorithm: Algorithm, signal: Cancellation): Promise<ImportKey> {
    return this.#changes.makeImportKey(algorithm, signal);
  }

  setVersionState(version: VersionRef, state: UsageState, signal: Cancellation): Promise<Key> {
    return this.#changes.setVersionState(version, state, signal);
  }

  changeRecord(subject: RecordSubject, change: RecordChange, signal: Cancellation): Promise<void> {
    return this.#changes.changeRecord(subject, change, signal);
  }

  removeRecords(key: string, stamps: readonly Stamp[], signal: Cancellation): Promise<void> {
    return this.#changes.removeRecords(key, stamps, signal);
  }

  destroyVersion(version: VersionRef, signal: Cancellation): Promise<boolean> {
    return this.#changes.destroyVersion(version, signal);
  }

  sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly Uint8Array[]> {
    return this.#keys.sign(version, batch, signal, digests);
  }

  verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    return this.#keys.verify(versions, batch, signal, digests);
  }

  signAgreed(
    version: KeyVersion,
    peer: Uint8Array,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    return this.#keys.signAgreed(version, peer, batch, signal);
  }

  verifyAgreed(
    versions: readonly KeyVersion[],
    peer: Uint8Array,
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    return this.#keys.verifyAgreed(versions, peer, batch, signal);
  }

  publicKeys(
    versions: readonly KeyVersion[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    return this.#keys.publicKeys(versions, signal);
  }

  signStream(version: KeyVersion, signal: Cancellation): Promise<TokenStream<Uint8Array>> {
    return this.#streams.sign(version, signal);
  }

  verifyStream(
    versions: readonly KeyVersion[],
    mac: Uint8Array,
    signal: Cancellation,
  ): Promise<TokenStream<KeyVersion | undefined>> {
    return this.#streams.verify(versions, mac, signal);
  }

  /**
   * Asks every host; one passing is enough to serve. A host whose canary does not sign is replaced,
   * one that is only too busy to answer in time is not.
   */
  async probe(signal: Cancellation): Promise<void> {
    signal.throwIfAborted();
    const options = { repeatable: false, macs: 1, limitMs: this.#callTimeoutMs, signal };
    const probes = this.#dispatcher.hosts.map((host) =>
      this.#dispatcher.submitTo(host, encodeEmpty(OPERATION.probe), options),
    );
    const outcomes = await Promise.allSettled(probes);
    if (outcomes.some(({ status }) => status === 'fulfilled')) return;
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
    throw new SigildError('TOKEN_UNAVAILABLE', 'no token host is logged in to the token');
  }

  async info(signal: Cancellation): Promise<TokenInfo> {
    const options = { repeatable: true, macs: 0, limitMs: this.#scanLimitMs, signal };
    const facts = await this.#writer.submit(encodeEmpty(OPERATION.describe), options);
    return { ...decodeJson<TokenFacts>(facts), hosts: this.#dispatcher.hosts.map(userOf) };
  }

  /** Refuses calls, lets hosts finish what they have and log out; kills them after the limit. */
  async close(limitMs: number): Promise<void> {
    const hosts = [...this.#dispatcher.close(), ...this.#writer.close()];
    await Promise.all([this.#supervisor.stop(), ...hosts.map((host) => host.stop(limitMs))]);
  }

  #scan<Answer>(
    frame: Buffer,
    read: (payload: Buffer) => Answer,
    signal: Cancellation,
    pinned = false,
  ): Promise<Answer> {
    const options = { repeatable: true, macs: 0, limitMs: this.#scanLimitMs, signal, pinned };
    return ask(this.#dispatcher, frame, options, read);
  }
}
