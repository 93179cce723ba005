import pkcs11js from 'pkcs11js';
import { groupByName, type Key } from '../domain/key.ts';
import type { AdoptRule } from '../domain/token-options.ts';
import { findObjects, type Handle, ifPresent } from './attributes.ts';
import { type KeyObject, KeyObjects, type TokenPart } from './key-objects.ts';
import {
  type FoundRecords,
  foundRecords,
  type RecordObject,
  RecordObjects,
} from './record-objects.ts';
import type { Session } from './session.ts';

/** An object on the token that sigild serves or keeps, as one of these. */
export interface FoundObject {
  /** The key's name. */
  readonly name: string;
  /** A secret key, or half a pair. */
  readonly part?: TokenPart;
  readonly record?: RecordObject;
}

/** What one look at the token has found. */
export interface FoundObjects {
  readonly keys: readonly KeyObject[];
  readonly records: FoundRecords;
}

/** Finds and reads all that sigild keeps on the token. */
export class TokenObjects {
  readonly keys: KeyObjects;
  readonly #records = new RecordObjects();

  constructor(adopt: readonly AdoptRule[]) {
    this.keys = new KeyObjects(adopt);
  }

  /** Every token object, in one search: that looks at each of them. @throws {CryptokiError} */
  handles(session: Session): Handle[] {
    return findObjects(session, tokenObjects());
  }

  /** Those of one name, of whatever class. @throws {CryptokiError} */
  handlesNamed(session: Session, name: string): Handle[] {
    return findObjects(session, tokenObjects([[pkcs11js.CKA_LABEL, name]]));
  }

  /**
   * @returns undefined for an object that is nothing of sigild's, or has gone
   * @throws {CryptokiError}
   */
  readPresent(session: Session, handle: Handle): FoundObject | undefined {
    return ifPresent(() => this.#read(session, handle));
  }

  /** What stands under one name. @throws {CryptokiError} */
  named(session: Session, name: string): FoundObjects {
    const handles = this.handlesNamed(session, name);
    const objects = handles.map((handle) => this.readPresent(session, handle));
    return this.together(
      session,
      objects.filter((object) => object !== undefined),
    );
  }

  /** Puts what was read together, each object once. @throws {CryptokiError} */
  together(session: Session, objects: readonly FoundObject[]): FoundObjects {
    const parts = objects.flatMap(({ part }) => part ?? []);
    const records = objects.flatMap(({ record }) => record ?? []);
    return { keys: this.keys.serve(session, parts), records: foundRecords(records) };
  }

  #read(session: Session, handle: Handle): FoundObject | undefined {
    const part = this.keys.readPart(session, handle);
    if (!part || 'unserved' in part) return undefined;
    if ('version' in part) return { name: part.version.key, part };
    if ('isPrivate' in part) return { name: part.key, part };
    const record = this.#records.read(session, handle);
    return record && { name: record.key, record };
  }
}

function tokenObjects(criteria: readonly (readonly [type: number, value: string])[] = []) {
  return new Map<number, boolean | string>([[pkcs11js.CKA_TOKEN, true], ...criteria]);
}

/** Whether another daemon may make more of an object at any time than it is: let a version sign. */
export function mayBeActivated({ part }: FoundObject): boolean {
  if (!part) return false;
  if ('version' in part) return part.version.state === 'SUSPENDED';
  return 'isPrivate' in part && !part.isUsable;
}

/** The keys that found objects make. */
export function keysOf({ keys, records: { copies, unreadable } }: FoundObjects): Key[] {
  const versions = keys.map(({ version }) => version);
  return groupByName(versions, copies).map((key) => {
    const count = unreadable.filter((name) => name === key.name).length;
    return count > 0 ? { ...key, unreadableRecords: count } : key;
  });
}
