import pkcs11js from 'pkcs11js';
import type { KeyUsage } from '../../src/domain/key-state.ts';
import type { SoftHsm } from './softhsm.ts';

/** Changes what the token lets a key do. @param label of one secret key */
export function setUsage(softHsm: SoftHsm, label: string, { sign, verify }: KeyUsage): void {
  setAttributes(softHsm, label, [
    { type: pkcs11js.CKA_SIGN, value: sign },
    { type: pkcs11js.CKA_VERIFY, value: verify },
  ]);
}

/** Gives a key another label. @param label of one secret key */
export function setLabel(softHsm: SoftHsm, label: string, other: string): void {
  setAttributes(softHsm, label, [{ type: pkcs11js.CKA_LABEL, value: other }]);
}

/** What pkcs11-tool cannot do. It takes this process's $SOFTHSM2_CONF. */
function setAttributes(softHsm: SoftHsm, label: string, template: pkcs11js.Template): void {
  process.env['SOFTHSM2_CONF'] = softHsm.configuration;
  const pkcs11 = new pkcs11js.PKCS11();
  pkcs11.load(softHsm.module);
  pkcs11.C_Initialize();
  try {
    const slot = slotOf(pkcs11, softHsm.label);
    const session = pkcs11.C_OpenSession(
      slot,
      pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION,
    );
    pkcs11.C_Login(session, pkcs11js.CKU_USER, softHsm.pin);
    pkcs11.C_SetAttributeValue(session, find(pkcs11, session, label), template);
  } finally {
    pkcs11.C_Finalize();
    pkcs11.close();
  }
}

function slotOf(pkcs11: pkcs11js.PKCS11, label: string): Buffer {
  const slot = pkcs11
    .C_GetSlotList(true)
    .find((candidate) => pkcs11.C_GetTokenInfo(candidate).label.trim() === label);
  if (!slot) throw new Error(`no token has the label ${label}`);
  return slot;
}

function find(pkcs11: pkcs11js.PKCS11, session: Buffer, label: string): Buffer {
  pkcs11.C_FindObjectsInit(session, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_LABEL, value: label },
  ]);
  const [key] = pkcs11.C_FindObjects(session, 1);
  pkcs11.C_FindObjectsFinal(session);
  if (!key) throw new Error(`no key has the label ${label}`);
  return key;
}
