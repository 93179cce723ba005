import pkcs11js from 'pkcs11js';
import { type AuditHead, auditHeadLabel, encodeAuditHead } from '../../src/domain/audit-seal.ts';
import { nativeTemplate } from '../../src/pkcs11/attributes.ts';
import { macKeyTemplate } from '../../src/pkcs11/key-template.ts';
import { signMac } from '../../src/pkcs11/mac.ts';
import { createDataObject } from '../../src/pkcs11/record-objects.ts';
import { openSession } from '../../src/pkcs11/session.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';

/** Makes a key on a token that makes MACs as an audit key does. */
export function makeSealingKey({ slot }: TokenConnection, id: string, label = 'sigild:audit') {
  const session = openSession(slot);
  const template = macKeyTemplate({
    ...{ label, id: Buffer.from(id, 'hex'), algorithm: 'HMAC_SHA256' },
  });
  const handle = session.lib.C_GenerateKey(
    session.handle,
    { mechanism: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN },
    nativeTemplate(template),
  );
  const mechanism = { mechanism: pkcs11js.CKM_SHA256_HMAC };
  return (text: Uint8Array) =>
    signMac(session, { handle, mechanism, macBytes: 32 }, Buffer.from(text)).toString('hex');
}

/** Keeps a log's newest seal on a token, beside those that are there. */
export function keepHead(
  { slot }: TokenConnection,
  log: string,
  head: AuditHead,
  isPrivate = true,
): void {
  const session = openSession(slot);
  createDataObject(
    session,
    new Map<number, number | boolean | string | Buffer>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_DATA],
      [pkcs11js.CKA_TOKEN, true],
      [pkcs11js.CKA_PRIVATE, isPrivate],
      [pkcs11js.CKA_APPLICATION, 'sigild'],
      [pkcs11js.CKA_LABEL, auditHeadLabel(log)],
      [pkcs11js.CKA_VALUE, Buffer.from(encodeAuditHead(head))],
    ]),
  );
  session.close();
}
