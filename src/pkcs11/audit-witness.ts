import { timingSafeEqual } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import {
  AUDIT_KEY_LABEL,
  type AuditHead,
  auditHeadLabel,
  decodeAuditHead,
  MAX_AUDIT_HEAD_BYTES,
} from '../domain/audit-seal.ts';
import {
  AttributeReader,
  findObjects,
  type Handle,
  ifPresent,
  type Template,
} from './attributes.ts';
import { KEY_PROOF } from './key-template.ts';
import { login, logout } from './login.ts';
import { signMac } from './mac.ts';
import { MECHANISMS } from './mechanisms.ts';
import type { Session } from './session.ts';
import type { FoundToken } from './token-selection.ts';

const ALGORITHM = 'HMAC_SHA256';
const APPLICATION = 'sigild';

interface AuditKey {
  readonly id: string;
  readonly handle: Handle;
}

/** What a token can say of audit logs: whether it made their seals, and which were the newest. */
export class AuditWitness {
  /** The newest seals, by the UUIDs of their logs, as they were when this was made. */
  readonly heads: ReadonlyMap<string, AuditHead>;
  readonly #session: Session;
  readonly #keys: readonly AuditKey[];

  /** @throws {CryptokiError} */
  constructor(session: Session) {
    this.#session = session;
    this.#keys = auditKeys(session);
    this.heads = newestHeads(session);
  }

  /**
   * Makes a seal's MAC again.
   *
   * @param auditKey hexadecimal CKA_ID; undefined to try every audit key
   * @param mac hexadecimal
   * @throws {CryptokiError}
   */
  readonly checkSeal = (
    auditKey: string | undefined,
    text: Uint8Array,
    mac: string,
  ): 'sealed' | 'other' | 'no-key' => {
    const keys = this.#keys.filter(({ id }) => auditKey === undefined || id === auditKey);
    if (keys.length === 0) return 'no-key';
    const expected = Buffer.from(mac, 'hex');
    const isMade = keys.some(({ handle }) => {
      const made = signMac(this.#session, macKey(handle), Buffer.from(text));
      return made.byteLength === expected.byteLength && timingSafeEqual(made, expected);
    });
    return isMade ? 'sealed' : 'other';
  };
}

/**
 * Asks a token about audit logs.
 *
 * @param pin the user PIN, which is tried once
 * @throws {StartFailure} wrong-pin, unavailable
 * @throws {CryptokiError} for what the token refuses
 */
export async function withAuditWitness<Result>(
  { slot }: FoundToken,
  pin: string,
  work: (witness: AuditWitness) => Promise<Result>,
): Promise<Result> {
  const keeper = login(slot, pin);
  const result = await work(new AuditWitness(keeper));
  logout(keeper);
  return result;
}

/** Only keys that the token itself has made: a MAC of another one could be made elsewhere. */
function auditKeys(session: Session): AuditKey[] {
  const reader = new AttributeReader();
  const handles = findObjects(
    session,
    new Map<number, number | boolean | string>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
      [pkcs11js.CKA_TOKEN, true],
      [pkcs11js.CKA_LABEL, AUDIT_KEY_LABEL],
    ]),
  );
  return handles.flatMap((handle) => {
    const attributes = reader.read(session, handle, [pkcs11js.CKA_ID, ...PROOF.keys()]);
    const isProven = [...PROOF].every(([type, value]) => attributes.flag(type) === value);
    const id = attributes.bytes(pkcs11js.CKA_ID)?.toString('hex') ?? '';
    return isProven ? [{ id, handle }] : [];
  });
}

const PROOF: Template = new Map([...KEY_PROOF, [pkcs11js.CKA_EXTRACTABLE, false]]);

function newestHeads(session: Session): Map<string, AuditHead> {
  const reader = new AttributeReader();
  const handles = findObjects(
    session,
    new Map<number, number | boolean | string>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_DATA],
      [pkcs11js.CKA_TOKEN, true],
      [pkcs11js.CKA_APPLICATION, APPLICATION],
    ]),
  );
  const heads = new Map<string, AuditHead>();
  for (const handle of handles) {
    const found = ifPresent(() => readHead(session, reader, handle));
    const older = found && heads.get(found.log);
    if (found && !(older && older.seq > found.head.seq)) heads.set(found.log, found.head);
  }
  return heads;
}

function readHead(session: Session, reader: AttributeReader, handle: Handle) {
  const start = auditHeadLabel('');
  const types = [pkcs11js.CKA_LABEL, pkcs11js.CKA_PRIVATE, pkcs11js.CKA_VALUE];
  const attributes = reader.read(session, handle, types);
  const label = attributes.text(pkcs11js.CKA_LABEL) ?? '';
  const value = attributes.bytes(pkcs11js.CKA_VALUE);
  // Whoever has no PIN can make public objects.
  const isPrivate = attributes.flag(pkcs11js.CKA_PRIVATE) === true;
  if (!label.startsWith(start) || !isPrivate || !value) return undefined;
  if (value.byteLength > MAX_AUDIT_HEAD_BYTES) return undefined;
  const head = decodeAuditHead(value.toString('utf8'));
  return head && { log: label.slice(start.length), head };
}

function macKey(handle: Handle) {
  return { handle, mechanism: { mechanism: MECHANISMS[ALGORITHM].type }, macBytes: 32 };
}
