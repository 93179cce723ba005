// node fill-token.js MODULE LABEL PIN_FILE KEYS DATA
//
// Makes keys on a token as the daemon does, but for its search before each, and prints each one's
// name and its MAC of the data as a line of JSON. The data and the MACs are in hexadecimal.

import { randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { ALGORITHMS } from '../../src/domain/algorithm.ts';
import { encodeVersionId, TAG_BYTES } from '../../src/domain/version-id.ts';
import { nativeTemplate } from '../../src/pkcs11/attributes.ts';
import { macKeyTemplate } from '../../src/pkcs11/key-template.ts';
import { login, logout, readPin } from '../../src/pkcs11/login.ts';
import { signMac } from '../../src/pkcs11/mac.ts';
import { MECHANISMS } from '../../src/pkcs11/mechanisms.ts';
import { initializeModule } from '../../src/pkcs11/module.ts';
import type { Session } from '../../src/pkcs11/session.ts';
import { selectToken } from '../../src/pkcs11/token-selection.ts';

const ALGORITHM = 'HMAC_SHA256';

function makeKey(session: Session, name: string, data: Buffer): Buffer {
  const tag = randomBytes(TAG_BYTES);
  const id = Buffer.from(encodeVersionId({ createTimeMs: Date.now(), version: 1, tag }));
  const handle = session.lib.C_GenerateKey(
    session.handle,
    { mechanism: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN },
    nativeTemplate(macKeyTemplate({ label: name, id, algorithm: ALGORITHM })),
  );
  const mechanism = { mechanism: MECHANISMS[ALGORITHM].type };
  const { macBytes } = ALGORITHMS[ALGORITHM];
  return signMac(session, { handle, mechanism, macBytes }, data);
}

const [module = '', label = '', pinFile = '', keys = '', data = ''] = process.argv.slice(2);
const loaded = initializeModule(module);
const { slot } = selectToken(loaded, { label });
const session = login(slot, readPin({ file: pinFile, credential: false }));
for (let number = 0; number < Number(keys); number += 1) {
  const name = `key-${number}`;
  const mac = makeKey(session, name, Buffer.from(data, 'hex'));
  console.log(JSON.stringify({ name, mac: mac.toString('hex') }));
}
logout(session);
loaded.finalize();
