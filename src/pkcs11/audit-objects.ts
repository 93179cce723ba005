import pkcs11js from 'pkcs11js';
import {
  AUDIT_KEY_LABEL,
  type AuditHead,
  auditHeadLabel,
  decodeAuditHead,
  encodeAuditHead,
  type KeptHead,
  MAX_AUDIT_HEAD_BYTES,
} from '../domain/audit-seal.ts';
import { SigildError } from '../domain/errors.ts';
import {
  AttributeReader,
  findObjects,
  type Handle,
  ifPresent,
  type Template,
} from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import { KEY_PROOF } from './key-template.ts';
import { signMac } from './mac.ts';
import { MECHANISMS } from './mechanisms.ts';
import { createDataObject } from './record-objects.ts';
import { findReserved, generateReserved, idOf } from './reserved-key.ts';
import type { Session } from './session.ts';

const ALGORITHM = 'HMAC_SHA256';
const MAC_BYTES = 32;

/** A key that somebody brought, or can take away, proves nothing. */
const PROVEN: Template = new Map<number, boolean>([
  [pkcs11js.CKA_SENSITIVE, true],
  [pkcs11js.CKA_EXTRACTABLE, false],
  ...(KEY_PROOF as Map<number, boolean>),
]);

/** How every text begins that the audit key signs, whoever asks. */
const TEXT_START = Buffer.from('sigild audit ');

/**
 * Finds the key that seals audit logs, or makes it.
 *
 * @returns its CKA_ID in hexadecimal
 * @throws {SigildError} TOKEN_REFUSED when the token makes one that could leave it
 * @throws {CryptokiError}
 */
export function auditKey(session: Session): string {
  const key = findAuditKeys(session)[0] ?? makeAuditKey(session);
  return idOf(session, key).toString('hex');
}

/**
 * @param keyId as {@link auditKey} gives it
 * @throws {SigildError} KEY_NOT_FOUND; DATA_RESERVED for a text that is not the audit log's
 * @throws {CryptokiError}
 */
export function auditMac(session: Session, keyId: string, text: Buffer): Buffer {
  if (!text.subarray(0, TEXT_START.byteLength).equals(TEXT_START)) {
    throw new SigildError('DATA_RESERVED', 'the audit key signs texts of the audit log alone');
  }
  const handle = findAuditKeys(session).find((key) => idOf(session, key).toString('hex') === keyId);
  if (!handle) throw new SigildError('KEY_NOT_FOUND', 'the audit key is no longer on the token');
  return macByAuditKey(session, handle, text);
}

/** @throws {CryptokiError} */
export function macByAuditKey(session: Session, handle: Handle, text: Buffer): Buffer {
  const mechanism = { mechanism: MECHANISMS[ALGORITHM].type };
  return signMac(session, { handle, mechanism, macBytes: MAC_BYTES }, text);
}

/**
 * @param log its UUID; undefined for all logs
 * @returns the newest ones first
 * @throws {CryptokiError}
 */
export function findAuditHeads(session: Session, log?: string): readonly KeptHead[] {
  const reader = new AttributeReader();
  return findHeads(session, log)
    .map((handle) => ifPresent(() => readHead(session, reader, handle)))
    .filter((kept) => kept !== undefined)
    .sort((a, b) => b.head.seq - a.head.seq);
}

/**
 * Puts a log's new head beside the one before, which goes then.
 *
 * @throws {SigildError} TOKEN_REFUSED where the token keeps no data objects
 * @throws {CryptokiError}
 */
export function keepAuditHead(session: Session, log: string, head: AuditHead): void {
  const before = findHeads(session, log);
  createHead(session, log, head);
  for (const object of before) {
    ifPresent(() =>
      ck('C_DestroyObject', () => session.lib.C_DestroyObject(session.handle, object)),
    );
  }
}

/** The keys that the token itself has made: a MAC of another one could be made elsewhere. */
export function findAuditKeys(session: Session): readonly Handle[] {
  return findReserved(session, AUDIT_KEY_LABEL, PROVEN);
}

function makeAuditKey(session: Session): Handle {
  const handle = generateReserved(session, AUDIT_KEY_LABEL, ALGORITHM);
  const [key] = findAuditKeys(session);
  if (key) return key;
  ifPresent(() => ck('C_DestroyObject', () => session.lib.C_DestroyObject(session.handle, handle)));
  throw new SigildError(
    'TOKEN_REFUSED',
    'the token makes no audit key that is sensitive and cannot leave it; it was destroyed',
  );
}

function createHead(session: Session, log: string, head: AuditHead): void {
  try {
    createDataObject(
      session,
      new Map<number, number | boolean | string | Buffer>([
        ...headTemplate(log),
        [pkcs11js.CKA_VALUE, Buffer.from(encodeAuditHead(head))],
      ]),
    );
  } catch (error) {
    if (!(error instanceof CryptokiError && error.verdict.reason === 'TOKEN_REFUSED')) throw error;
    throw new SigildError('TOKEN_REFUSED', 'this token keeps no data objects', { cause: error });
  }
}

function findHeads(session: Session, log: string | undefined): Handle[] {
  return findObjects(session, headTemplate(log));
}

/** Private ones, as whoever has no PIN can make public objects. */
function headTemplate(log: string | undefined): Template {
  return new Map<number, number | boolean | string>([
    [pkcs11js.CKA_CLASS, pkcs11js.CKO_DATA],
    [pkcs11js.CKA_TOKEN, true],
    [pkcs11js.CKA_PRIVATE, true],
    [pkcs11js.CKA_APPLICATION, 'sigild'],
    ...(log === undefined ? [] : [[pkcs11js.CKA_LABEL, auditHeadLabel(log)] as const]),
  ]);
}

function readHead(session: Session, reader: AttributeReader, handle: Handle): KeptHead | undefined {
  const start = auditHeadLabel('');
  const attributes = reader.read(session, handle, [pkcs11js.CKA_LABEL, pkcs11js.CKA_VALUE]);
  const label = attributes.text(pkcs11js.CKA_LABEL) ?? '';
  const value = attributes.bytes(pkcs11js.CKA_VALUE);
  // Records of keys stand beside them.
  if (!label.startsWith(start) || !value || value.byteLength > MAX_AUDIT_HEAD_BYTES)
    return undefined;
  const head = decodeAuditHead(value.toString('utf8'));
  return head && { log: label.slice(start.length), head };
}
