import type { Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import { isPresent, type Key, type VersionRef } from '../domain/key.ts';
import type { ImportKey } from '../domain/key-import.ts';
import type { RecordSubject, Stamp, StampedRecord } from '../domain/key-record.ts';
import type { UsageState } from '../domain/key-state.ts';
import { decodeVersionId } from '../domain/version-id.ts';
import { changeRecord, type RecordStore } from '../service/change-record.ts';
import { createWithSettings } from '../service/create-with-settings.ts';
import { untilAborted, withLimit } from '../service/deadline.ts';
import type { Token } from '../service/ports.ts';
import {
  type Creation as NewVersion,
  settleCreation,
  settleVersion,
} from '../service/settle-creation.ts';
import type { NewKey, RecordChange } from '../service/token-values.ts';
import { HostLost } from './call.ts';
import type { Dispatcher } from './dispatcher.ts';
import { ask, booleanAnswer, creationAnswer, importKeyAnswer } from './host-answers.ts';
import {
  type Creation,
  encodeJson,
  encodeNewKey,
  encodeStateChange,
  encodeVersionRef,
  OPERATION,
  type RecordRemoval,
} from './protocol.ts';
import type { Writer } from './writer.ts';

export interface TokenChangesOptions {
  readonly writer: Pick<Writer, 'submit' | 'renew'>;
  /** Of the hosts that use keys. */
  readonly dispatcher: Pick<Dispatcher, 'submitToEach'>;
  /** Sees what every other process has made. */
  readonly findKey: Token['findKey'];
  /** Likewise, every copy of every record of a key. */
  readonly findRecords: (key: string, signal: Cancellation) => Promise<readonly StampedRecord[]>;
  readonly callTimeoutMs: number;
  /** The same for a call that looks at the whole token. */
  readonly scanLimitMs: number;
}

/**
 * What changes the token: done by the {@link Writer}, and then seen to with the hosts that use keys.
 *
 * What has begun is finished under limits of its own: a caller who leaves must leave neither two
 * objects for one version behind, nor sessions that go on with what they knew of one.
 */
export class TokenChanges {
  readonly #writer: TokenChangesOptions['writer'];
  readonly #dispatcher: TokenChangesOptions['dispatcher'];
  readonly #findKey: TokenChangesOptions['findKey'];
  readonly #findRecords: TokenChangesOptions['findRecords'];
  readonly #callTimeoutMs: number;
  readonly #scanLimitMs: number;

  constructor(options: TokenChangesOptions) {
    this.#writer = options.writer;
    this.#dispatcher = options.dispatcher;
    this.#findKey = options.findKey;
    this.#findRecords = options.findRecords;
    this.#callTimeoutMs = options.callTimeoutMs;
    this.#scanLimitMs = options.scanLimitMs;
  }

  /** @throws {SigildError} as {@link Token.createKey} */
  async createKey(wanted: NewKey, signal: Cancellation): Promise<Key> {
    signal.throwIfAborted();
    const make = async () => {
      const { key, made } = await this.#make(OPERATION.createKey, wanted, signal);
      if (made) return await this.#settle(wanted, settleCreation);
      return (await this.#findKey(wanted.name, signal)) ?? key;
    };
    return withLimit(2 * this.#scanLimitMs, `creating key ${wanted.name}`, (limit) =>
      createWithSettings(wanted, {
        store: this.#records(wanted.name, limit),
        find: () => this.#findKey(wanted.name, signal),
        make,
      }),
    );
  }

  /** @throws {SigildError} as {@link Token.createVersion} */
  async createVersion(wanted: NewKey, signal: Cancellation): Promise<Key> {
    const { key, made } = await this.#make(OPERATION.createVersion, wanted, signal);
    if (made) return this.#settle(wanted, settleVersion);
    return (await this.#findKey(wanted.name, signal)) ?? key;
  }

  /** @throws {SigildError} as {@link Token.makeImportKey} */
  async makeImportKey(algorithm: Algorithm, signal: Cancellation): Promise<ImportKey> {
    return this.#ask(encodeJson(OPERATION.makeImportKey, algorithm), true, signal, importKeyAnswer);
  }

  /** @throws {SigildError} as {@link Token.setVersionState} */
  async setVersionState(ref: VersionRef, state: UsageState, signal: Cancellation): Promise<Key> {
    signal.throwIfAborted();
    const change = withLimit(this.#scanLimitMs, `changing key ${ref.key}`, (limit) =>
      this.#setVersionState(ref, state, limit),
    );
    return await untilAborted(change, signal);
  }

  /** @throws {SigildError} as {@link Token.destroyVersion} */
  async destroyVersion(ref: VersionRef, signal: Cancellation): Promise<boolean> {
    signal.throwIfAborted();
    const destruction = withLimit(
      this.#scanLimitMs,
      `destroying a version of key ${ref.key}`,
      (limit) => this.#destroyVersion(ref, limit),
    );
    return await untilAborted(destruction, signal);
  }

  /** @throws {SigildError} as {@link Token.changeRecord} */
  async changeRecord(
    subject: RecordSubject,
    change: RecordChange,
    signal: Cancellation,
  ): Promise<void> {
    signal.throwIfAborted();
    const what = `changing what the token keeps of key ${subject.key}`;
    const done = withLimit(this.#scanLimitMs, what, (limit) =>
      changeRecord(this.#records(subject.key, limit), subject, change),
    );
    return await untilAborted(done, signal);
  }

  /** @throws {SigildError} */
  async removeRecords(key: string, stamps: readonly Stamp[], signal: Cancellation): Promise<void> {
    const removal: RecordRemoval = { key, stamps };
    await this.#submit(encodeJson(OPERATION.removeRecords, removal), true, signal);
  }

  #records(key: string, signal: Cancellation): RecordStore {
    return {
      find: () => this.#findRecords(key, signal),
      create: async (copy) => {
        await this.#submit(encodeJson(OPERATION.createRecord, copy), true, signal);
      },
      remove: (stamps) => this.removeRecords(key, stamps, signal),
    };
  }

  /** Makes a version, or finds that the host which was lost meanwhile had made it. */
  async #make(code: number, wanted: NewKey, signal: Cancellation): Promise<Creation> {
    try {
      return await this.#ask(encodeNewKey(code, wanted), false, signal, creationAnswer);
    } catch (error) {
      if (!(error instanceof HostLost)) throw error;
      const key = await this.#findKey(wanted.name, signal);
      const id = Buffer.from(wanted.id).toString('hex');
      if (key?.versions.some((version) => version.id === id)) return { key, made: true };
      throw error;
    }
  }

  #settle(wanted: NewKey, settle: (made: NewVersion) => Promise<Key>): Promise<Key> {
    const { name, id: bytes } = wanted;
    const id = Buffer.from(bytes).toString('hex');
    return withLimit(this.#scanLimitMs, `settling key ${name}`, (limit) =>
      settle({
        ...{ name, id, version: decodeVersionId(bytes)?.version ?? 1 },
        find: () => this.#findKey(name, limit),
        destroy: async () => {
          const frame = encodeVersionRef(OPERATION.destroyVersion, { key: name, id });
          await this.#submit(frame, true, limit);
        },
      }),
    );
  }

  async #destroyVersion(ref: VersionRef, signal: Cancellation): Promise<boolean> {
    const frame = encodeVersionRef(OPERATION.destroyVersion, ref);
    const destroy = () => this.#ask(frame, true, signal, booleanAnswer);
    try {
      if (await destroy()) return true;
      const key = await this.#findKey(ref.key, signal);
      if (!key?.versions.some((version) => version.id === ref.id && isPresent(version)))
        return false;
      this.#renewWriter();
      return await destroy();
    } finally {
      await this.#forgetVersion(ref);
    }
  }

  async #setVersionState(ref: VersionRef, state: UsageState, signal: Cancellation): Promise<Key> {
    try {
      await this.#changeState(ref, state, signal);
    } finally {
      // Also after a failure, before which the token may have made the change.
      await this.#forgetVersion(ref);
    }
    const key = await this.#findKey(ref.key, signal);
    if (key) return key;
    throw new SigildError('KEY_NOT_FOUND', `key ${ref.key} is no longer on the token`);
  }

  /** Has the state changed; by a new host where the old one does not see what the others see. */
  async #changeState(ref: VersionRef, state: UsageState, signal: Cancellation): Promise<void> {
    try {
      await this.#submit(encodeStateChange(ref, state), true, signal);
    } catch (error) {
      if (!(error instanceof SigildError && error.reason === 'KEY_NOT_FOUND')) throw error;
      const key = await this.#findKey(ref.key, signal);
      if (!key?.versions.some(({ id }) => id === ref.id)) throw error;
      this.#renewWriter();
      await this.#submit(encodeStateChange(ref, state), true, signal);
    }
  }

  #renewWriter(): void {
    this.#writer.renew(new Error('it does not see what others have made on the token'));
  }

  /** Drops what every session knows of a version: its copy, its handle and what it may do. */
  #forgetVersion(ref: VersionRef): Promise<void> {
    const frame = () => encodeVersionRef(OPERATION.forgetVersion, ref);
    const options = { repeatable: false, macs: 0, limitMs: this.#callTimeoutMs };
    return withLimit(this.#scanLimitMs, `forgetting a version of key ${ref.key}`, (signal) =>
      this.#dispatcher.submitToEach(frame, { ...options, signal }),
    );
  }

  #submit(frame: Buffer, repeatable: boolean, signal: Cancellation): Promise<void> {
    return this.#ask(frame, repeatable, signal, () => undefined);
  }

  #ask<Answer>(
    frame: Buffer,
    repeatable: boolean,
    signal: Cancellation,
    read: (payload: Buffer) => Answer,
  ): Promise<Answer> {
    const options = { repeatable, macs: 0, limitMs: this.#scanLimitMs, signal };
    return ask(this.#writer, frame, options, read);
  }
}
