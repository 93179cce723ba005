import { SigildError } from '../domain/errors.ts';
import type { VersionRef } from '../domain/key.ts';
import type { Stamp, StampedRecord } from '../domain/key-record.ts';
import { type UsageState, usageOf } from '../domain/key-state.ts';
import type { NewKey } from '../service/ports.ts';
import { type Creation, createKey, createVersion, destroyVersion } from './key-creation.ts';
import { setUsage } from './key-usage.ts';
import { createRecord, RecordObjects } from './record-objects.ts';
import type { TokenSession } from './token-session.ts';

/** What changes keys on the token, over one session. Other sessions go on with what they know. */
export class KeyChanges {
  readonly #session: TokenSession;

  constructor(session: TokenSession) {
    this.#session = session;
  }

  /** Several at the same time may each make one. @throws {SigildError} as Token.createKey */
  createKey(key: NewKey): Creation {
    return this.#session.once(`creating key ${key.name}`, (session, objects) =>
      createKey(session, objects, key),
    );
  }

  /** Several at the same time may each make one. @throws {SigildError} as Token.createVersion */
  createVersion(key: NewKey): Creation {
    return this.#session.once(`making a version of key ${key.name}`, (session, objects) =>
      createVersion(session, objects, key),
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
}
