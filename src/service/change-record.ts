import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SigildError } from '../domain/errors.ts';
import {
  countingRecord,
  isSameStamp,
  type RecordSubject,
  type Stamp,
  type StampedRecord,
  subjectName,
} from '../domain/key-record.ts';
import type { RecordChange } from './token-values.ts';

/** The records of one key on the token. */
export interface RecordStore {
  /** Every copy of every record; must see what every other process has made. */
  readonly find: () => Promise<readonly StampedRecord[]>;
  readonly create: (copy: StampedRecord) => Promise<void>;
  /** It makes no difference whether they are there. */
  readonly remove: (stamps: readonly Stamp[]) => Promise<void>;
}

const RIVAL_POLL_MS = 20;

/** How often a copy looks whether another one of its revision has given way. */
const RIVAL_LOOKS = 10;

/** Of two copies that stay together for so many looks the writer of one has crashed. */
const TIE_LOOKS = 3 * RIVAL_LOOKS;

const MAX_ATTEMPTS = 10;
const RETRY_MS = 100;

/**
 * Replaces a record: puts a copy of a higher revision beside the one that counts, and removes that
 * one when the new copy has won.
 *
 * Of several daemons that replace a record at the same time one wins; the others take their copies
 * back and try again on top of it. A copy wins when a look after it was made finds neither another
 * one of its revision nor a higher one, and finds the copy still there that it was made on top of. Of
 * two rivals the one with the higher nonce gives way at once; the other one waits for that, and gives
 * way too when it has to wait too long: the rival may have won before.
 *
 * A copy on top of which another daemon has put its own before it had won is taken back too: then the
 * change is asked of what it has made itself.
 *
 * A crash at any point leaves one copy that counts, and at most some that do not.
 *
 * @throws {SigildError} TOKEN_UNAVAILABLE when others always came first; what the store and the change
 *   throw
 */
export async function changeRecord(
  store: RecordStore,
  subject: RecordSubject,
  change: RecordChange,
): Promise<void> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const basis = await settled(store, subject);
    const record = change(basis?.record);
    if (!record) return;
    const copy = stamped(record, basis?.stamp);
    await store.create(copy);
    if (await settle(store, copy, basis)) return;
    await sleep(Math.random() * RETRY_MS);
  }
  throw new SigildError(
    'TOKEN_UNAVAILABLE',
    `others change what the token keeps of key ${subject.key} all the time; try again`,
    { retryAfterMs: RETRY_MS },
  );
}

/** A copy of a record on top of another one. */
export function stamped(record: StampedRecord['record'], basis?: Stamp): StampedRecord {
  const nonce = randomBytes(8).toString('hex');
  return { record, stamp: { revision: (basis?.revision ?? 0) + 1, nonce } };
}

/**
 * The copy that counts. While two have the highest revision, either may have won and either may give
 * way: then it is the one that stays.
 */
async function settled(
  store: RecordStore,
  subject: RecordSubject,
): Promise<StampedRecord | undefined> {
  for (let looks = 1; ; looks += 1) {
    const copies = copiesOf(await store.find(), subject);
    const newest = countingRecord(copies);
    const rivals = copies.filter(({ stamp }) => stamp.revision === newest?.stamp.revision);
    if (rivals.length < 2 || looks >= TIE_LOOKS) return newest;
    await sleep(RIVAL_POLL_MS);
  }
}

/** @returns whether the copy has won; else it was taken back */
async function settle(
  store: RecordStore,
  copy: StampedRecord,
  basis: StampedRecord | undefined,
): Promise<boolean> {
  for (let looks = 1; ; looks += 1) {
    const found = copiesOf(await store.find(), copy.record);
    const outcome = judge(found, copy.stamp, basis?.stamp);
    if (outcome === 'won') {
      const older = found.filter(({ stamp }) => stamp.revision < copy.stamp.revision);
      if (older.length > 0) await store.remove(older.map(({ stamp }) => stamp));
      return true;
    }
    if (outcome === 'lost' || looks >= RIVAL_LOOKS) {
      await store.remove([copy.stamp]);
      return false;
    }
    await sleep(RIVAL_POLL_MS);
  }
}

function judge(
  found: readonly StampedRecord[],
  own: Stamp,
  basis: Stamp | undefined,
): 'won' | 'lost' | 'waits' {
  const isThere = (wanted: Stamp) => found.some(({ stamp }) => isSameStamp(stamp, wanted));
  if (!isThere(own)) return 'waits';
  // What the change was made on top of has been taken back by its own writer.
  if (basis && !isThere(basis)) return 'lost';
  const rivals = found
    .map(({ stamp }) => stamp)
    .filter((stamp) => stamp.revision >= own.revision && !isSameStamp(stamp, own));
  if (rivals.length === 0) return 'won';
  return rivals.some(({ revision, nonce }) => revision > own.revision || nonce < own.nonce)
    ? 'lost'
    : 'waits';
}

function copiesOf(copies: readonly StampedRecord[], subject: RecordSubject): StampedRecord[] {
  return copies.filter(({ record }) => subjectName(record) === subjectName(subject));
}
