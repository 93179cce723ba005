import pkcs11js from 'pkcs11js';
import type { StampedRecord } from '../domain/key-record.ts';
import type { RecordSupport } from '../domain/token-info.ts';
import type { OnSession } from './attribute-trials.ts';
import { AttributeReader } from './attributes.ts';
import { CryptokiError, ck, isLoss } from './ck-rv.ts';
import { createDataObject, recordTemplate } from './record-objects.ts';
import type { Session } from './session.ts';

const TRIAL: StampedRecord = {
  record: {
    ...{ kind: 'settings', key: 'sigild:trial', id: '0'.repeat(32), version: 1 },
    settings: { rotationPeriodMs: undefined, destroyable: true },
  },
  stamp: { revision: 1, nonce: '0'.repeat(16) },
};

/**
 * Finds out whether the token keeps records of keys: makes a data object in a session, with which it
 * goes.
 *
 * @throws {CryptokiError} when the token or the login is lost
 */
export function tryRecords(onSession: OnSession): RecordSupport {
  try {
    onSession(makeRecord);
    return { kept: true, found: 'the token makes private data objects' };
  } catch (error) {
    if (!(error instanceof CryptokiError) || isLoss(error)) throw error;
    const refused = error.verdict.reason === 'TOKEN_REFUSED';
    return { kept: refused ? false : undefined, found: error.message };
  }
}

function makeRecord(session: Session): void {
  const { lib, handle } = session;
  const template = recordTemplate(TRIAL).set(pkcs11js.CKA_TOKEN, false);
  const object = createDataObject(session, template);
  const found = new AttributeReader().read(session, object, [pkcs11js.CKA_TOKEN]);
  // A token that makes token objects instead must not keep it.
  if (found.flag(pkcs11js.CKA_TOKEN) !== false) {
    ck('C_DestroyObject', () => lib.C_DestroyObject(handle, object));
  }
}
