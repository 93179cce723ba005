import { type Algorithm, isAgreementAlgorithm, isPairAlgorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import type { VersionRef } from '../domain/key.ts';
import type { ImportKey, WrappedKey } from '../domain/key-import.ts';
import type { Stamp, StampedRecord } from '../domain/key-record.ts';
import { type UsageState, usageOf } from '../domain/key-state.ts';
import type { NewKey } from '../service/token-values.ts';
import { ImportKeys } from './import-keys.ts';
import { importOf } from './imported-key.ts';
import { pairImportOf } from './imported-pair.ts';
import {
  type Creation,
  createKey,
  createVersion,
  destroyVersion,
  type KeySource,
} from './key-creation.ts';
import { generationOf } from './key-generation.ts';
import { setUsage } from './key-usage.ts';
import { createRecord, RecordObjects } from './record-objects.ts';
import type { TokenSession } from './token-session.ts';

/** What changes keys on the token, over one session. Other sessions go on with what they know. */
export class KeyChanges {
  readonly #session: TokenSession;
  readonly #importKeys = new ImportKeys();

  constructor(session: TokenSession) {
    this.#session = session;
  }

  /** Several at the same time may each make one. @throws {SigildError} as Token.createKey */
  createKey(key: NewKey): Creation {
    return this.#session.once(`creating key ${key.name}`, (session, objects) =>
      this.#withSource(key, (source) => createKey(session, objects, key, source)),
    );
  }

  /** Several at the same time may each make one. @throws {SigildError} as Token.createVersion */
  createVersion(key: NewKey): Creation {
    return this.#session.once(`making a version of key ${key.name}`, (session, objects) =>
      this.#withSource(key, (source) => createVersion(session, objects, key, source)),
    );
  }

  /** It stays with this object, which has to live on until it is used. @throws as Token.makeImportKey */
  makeImportKey(algorithm: Algorithm): ImportKey {
    return this.#session.once('making an import key', (session) =>
      this.#importKeys.make(session.slot, algorithm),
    );
  }

  /** @throws {SigildError} as Token.setVersionState */
  setVersionState(ref: VersionRef, state: UsageState): void {
    this.#session.forgetVersion(ref);
    const found = this.#session.repeatable(
      `changing the state of a version of key ${ref.key}`,
      (session, objects) => setUsage(session, objects, ref, usageOf(state)),
    );
    if (found) return;
    this.#session.probe();
    throw new SigildError('KEY_NOT_FOUND', `a version of key ${ref.key} is no longer on the token`);
  }

  /** @returns whether the token held it @throws {SigildError} as Token.destroyVersion */
  destroyVersion(ref: VersionRef): boolean {
    this.#session.forgetVersion(ref);
    return this.#session.once(`destroying a version of key ${ref.key}`, (session, objects) =>
      destroyVersion(session, objects, ref),
    );
  }

  /** Puts one more copy of a record there: see service/change-record.ts. @throws {SigildError} */
  createRecord(copy: StampedRecord): void {
    this.#session.repeatable(`writing a record of key ${copy.record.key}`, (session) =>
      createRecord(session, copy),
    );
  }

  /** Removes copies of records; it makes no difference whether they were there. @throws {SigildError} */
  removeRecords(key: string, stamps: readonly Stamp[]): void {
    this.#session.repeatable(`removing records of key ${key}`, (session) =>
      new RecordObjects().remove(session, key, stamps),
    );
  }

  #withSource(key: NewKey, make: (source: KeySource) => Creation): Creation {
    const { wrapped } = key;
    if (!wrapped) return make(generationOf(key));
    try {
      return make(sourceOf(this.#importKeys, key, wrapped));
    } finally {
      this.#importKeys.discard(wrapped.importKeyId);
    }
  }
}

function sourceOf(importKeys: ImportKeys, key: NewKey, wrapped: WrappedKey): KeySource {
  const { algorithm } = key;
  if (isAgreementAlgorithm(algorithm)) throw new Error('such keys cannot be imported');
  return isPairAlgorithm(algorithm)
    ? pairImportOf(importKeys, { ...key, algorithm }, wrapped)
    : importOf(importKeys, { ...key, algorithm }, wrapped);
}
