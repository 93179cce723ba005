import pkcs11js from 'pkcs11js';
import { SigildError } from '../domain/errors.ts';
import { isKeyName } from '../domain/key.ts';
import {
  decodeRecord,
  encodeRecord,
  isSameStamp,
  MAX_RECORD_BYTES,
  type Stamp,
  type StampedRecord,
} from '../domain/key-record.ts';
import {
  AttributeReader,
  findObjects,
  type Handle,
  ifPresent,
  nativeTemplate,
  type Template,
} from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { Session } from './session.ts';

/** What stands on the token as records of keys. */
export interface FoundRecords {
  /** Every copy, also those that do not count. */
  readonly copies: readonly StampedRecord[];
  /** For each object that says it is a record but cannot be understood, the name of its key. */
  readonly unreadable: readonly string[];
}

const APPLICATION = 'sigild';

const READ_TYPES = [
  pkcs11js.CKA_APPLICATION,
  pkcs11js.CKA_LABEL,
  pkcs11js.CKA_PRIVATE,
  pkcs11js.CKA_VALUE,
];

/** An object that says it is a record. */
export interface RecordObject {
  readonly handle: Handle;
  readonly key: string;
  /** Undefined where it cannot be understood. */
  readonly copy: StampedRecord | undefined;
}

/** Finds and reads the data objects that hold records of keys. */
export class RecordObjects {
  readonly #reader = new AttributeReader();

  /** The records of one key. @throws {CryptokiError} */
  named(session: Session, key: string): FoundRecords {
    return foundRecords(this.#readNamed(session, key));
  }

  /** Destroys those copies that are there. @throws {CryptokiError} */
  remove(session: Session, key: string, stamps: readonly Stamp[]): void {
    for (const { handle, copy } of this.#readNamed(session, key)) {
      if (!copy || !stamps.some((stamp) => isSameStamp(stamp, copy.stamp))) continue;
      ifPresent(() =>
        ck('C_DestroyObject', () => session.lib.C_DestroyObject(session.handle, handle)),
      );
    }
  }

  #readNamed(session: Session, key: string): RecordObject[] {
    return findObjects(session, records([[pkcs11js.CKA_LABEL, key]]))
      .map((handle) => ifPresent(() => this.read(session, handle)))
      .filter((object) => object !== undefined);
  }

  /** @returns undefined for an object of others @throws {CryptokiError} */
  read(session: Session, handle: Handle): RecordObject | undefined {
    const attributes = this.#reader.read(session, handle, READ_TYPES);
    const key = attributes.text(pkcs11js.CKA_LABEL) ?? '';
    if (attributes.text(pkcs11js.CKA_APPLICATION) !== APPLICATION || !isKeyName(key))
      return undefined;
    // Whoever has no PIN can make others.
    if (!attributes.isSet(pkcs11js.CKA_PRIVATE)) return undefined;
    const value = attributes.bytes(pkcs11js.CKA_VALUE);
    const fits = value !== undefined && value.byteLength <= MAX_RECORD_BYTES;
    return { handle, key, copy: fits ? decodeRecord(key, value.toString('utf8')) : undefined };
  }
}

/** Puts records together that were read. */
export function foundRecords(objects: readonly RecordObject[]): FoundRecords {
  return {
    copies: distinct(objects.map(({ copy }) => copy).filter((copy) => copy !== undefined)),
    unreadable: objects.filter(({ copy }) => !copy).map(({ key }) => key),
  };
}

/**
 * Puts one more copy of a record onto the token, unless that very copy is there.
 *
 * It looks first, also because SoftHSM 2.6 shows a process that changes the token nothing of what
 * others have changed since its last look, until they change it again.
 *
 * @throws {SigildError} TOKEN_REFUSED where the token keeps no records
 * @throws {CryptokiError}
 */
export function createRecord(session: Session, copy: StampedRecord): void {
  const { copies } = new RecordObjects().named(session, copy.record.key);
  if (copies.some(({ stamp }) => isSameStamp(stamp, copy.stamp))) return;
  try {
    createDataObject(session, recordTemplate(copy));
  } catch (error) {
    if (!(error instanceof CryptokiError && error.verdict.reason === 'TOKEN_REFUSED')) throw error;
    throw new SigildError(
      'TOKEN_REFUSED',
      'this token keeps no data objects, so a key can have no settings and no scheduled ' +
        `destruction on it (${error.message})`,
      { cause: error },
    );
  }
}

/** @returns the new object @throws {CryptokiError} */
export function createDataObject({ lib, handle }: Session, template: Template): Handle {
  return ck('C_CreateObject', () => lib.C_CreateObject(handle, nativeTemplate(template)));
}

/** How a copy of a record stands on the token. */
export function recordTemplate(copy: StampedRecord): Template {
  return new Map<number, number | boolean | string | Buffer>([
    ...records([[pkcs11js.CKA_LABEL, copy.record.key]]),
    [pkcs11js.CKA_PRIVATE, true],
    [pkcs11js.CKA_VALUE, Buffer.from(encodeRecord(copy))],
  ]);
}

function records(criteria: readonly (readonly [type: number, value: string])[] = []): Template {
  return new Map<number, number | boolean | string>([
    [pkcs11js.CKA_CLASS, pkcs11js.CKO_DATA],
    [pkcs11js.CKA_TOKEN, true],
    [pkcs11js.CKA_APPLICATION, APPLICATION],
    ...criteria,
  ]);
}

/** SoftHSM 2.6 may list an object twice: see KeyObjects. */
function distinct(copies: readonly StampedRecord[]): StampedRecord[] {
  return copies.filter(
    ({ stamp }, index) => copies.findIndex((other) => isSameStamp(other.stamp, stamp)) === index,
  );
}
