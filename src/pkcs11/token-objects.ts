import pkcs11js from 'pkcs11js';
import { groupByName, type Key } from '../domain/key.ts';
import type { AdoptRule } from '../domain/token-options.ts';
import { AttributeReader, findObjects, type Handle, ifPresent } from './attributes.ts';
import { type KeyObject, KeyObjects } from './key-objects.ts';
import { type FoundRecords, RecordObjects } from './record-objects.ts';
import type { Session } from './session.ts';

/** What one look at the token has found. */
export interface FoundObjects {
  readonly keys: readonly KeyObject[];
  readonly records: FoundRecords;
}

/** Finds and reads all that sigild keeps on the token. */
export class TokenObjects {
  readonly keys: KeyObjects;
  readonly #records = new RecordObjects();
  readonly #reader = new AttributeReader();

  constructor(adopt: readonly AdoptRule[]) {
    this.keys = new KeyObjects(adopt);
  }

  /** Every served key and every record. @throws {CryptokiError} */
  all(session: Session): FoundObjects {
    return { keys: this.keys.all(session), records: this.#records.all(session) };
  }

  /**
   * What stands under one name, found in one search: that looks at every object on the token.
   *
   * @throws {CryptokiError}
   */
  named(session: Session, name: string): FoundObjects {
    const criteria = new Map<number, boolean | string>([
      [pkcs11js.CKA_TOKEN, true],
      [pkcs11js.CKA_LABEL, name],
    ]);
    const keys: Handle[] = [];
    const records: Handle[] = [];
    for (const handle of findObjects(session, criteria)) {
      const type = this.#classOf(session, handle);
      if (type === pkcs11js.CKO_SECRET_KEY) keys.push(handle);
      if (type === pkcs11js.CKO_DATA) records.push(handle);
    }
    return {
      keys: this.keys.readEach(session, keys),
      records: this.#records.readEach(session, records),
    };
  }

  /** @returns undefined for an object that has gone */
  #classOf(session: Session, handle: Handle): number | undefined {
    const read = () => this.#reader.read(session, handle, [pkcs11js.CKA_CLASS]);
    return ifPresent(read)?.number(pkcs11js.CKA_CLASS);
  }
}

/** The keys that found objects make. */
export function keysOf({ keys, records: { copies, unreadable } }: FoundObjects): Key[] {
  const versions = keys.map(({ version }) => version);
  return groupByName(versions, copies).map((key) => {
    const count = unreadable.filter((name) => name === key.name).length;
    return count > 0 ? { ...key, unreadableRecords: count } : key;
  });
}
