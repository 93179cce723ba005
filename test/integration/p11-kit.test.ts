import { createHmac, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HostedTokenOptions } from '../../src/token-host/hosted-token-options.ts';
import { deadline } from '../support/faulty-token.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { signOne } from '../support/one-message.ts';
import { P11KitServer } from '../support/p11-kit-server.ts';
import { on, type Pkcs11Shim, pkcs11Shim } from '../support/pkcs11-shim.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const NAMES = ['adopted-one', 'adopted-two', 'adopted-three'];

/** One host with several sessions, which p11-kit's module gives a connection each. */
const OPTIONS = { hosts: 1, sessionsPerHost: 3, startTimeoutMs: 30_000, callTimeoutMs: 20_000 };

let softHsm: SoftHsm;
/** Behind the server, it counts the calls of all connections. */
let shim: Pkcs11Shim;
let server: P11KitServer;

beforeEach(async () => {
  softHsm = createSoftHsm();
  shim = pkcs11Shim(softHsm);
  server = new P11KitServer({ ...softHsm, module: shim.module, environment: shim.environment });
  await server.start();
});

afterEach(async () => {
  await server?.kill();
  softHsm?.remove();
});

function start(options: Partial<HostedTokenOptions> = {}) {
  const { module, environment } = server;
  return startHostedToken(softHsm, { module, environment, ...OPTIONS, ...options });
}

test('every session of a host signs with the right keys, though none knows handles of another', async () => {
  const values = new Map(NAMES.map((name) => [name, randomBytes(32)]));
  for (const [label, value] of values) softHsm.writeKey({ label, value });
  const token = await start();

  const sign = async (name: string, data: Buffer) => {
    const key = await token.findKey(name, deadline(20_000));
    if (!key?.versions[0]) throw new Error(`no key ${name}`);
    return signOne(token, key.versions[0], data, deadline(20_000));
  };
  const macs = Array.from({ length: 60 }, async (_, turn) => {
    const name = NAMES[turn % NAMES.length] ?? '';
    const data = Buffer.from(`message ${turn}`);
    const expected = createHmac('sha256', values.get(name) ?? '')
      .update(data)
      .digest();
    return expected.equals(await sign(name, data));
  });

  expect(new Set(await Promise.all(macs))).toEqual(new Set([true]));
  await token.close(5_000);
});

test('a PIN that is refused to the first session that logs in is tried for no other one', async () => {
  await shim.control(on('C_Login').return('CKR_PIN_INCORRECT', { skip: 1 }));

  const starting = start();

  await expect(starting).rejects.toMatchObject({ kind: 'wrong-pin' });
  expect(shim.calls('C_Login')).toBe(2);
});
