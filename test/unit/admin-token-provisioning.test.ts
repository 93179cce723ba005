import type { Slot as TokenSlot } from 'graphene-pk11';
import { beforeEach, expect, test } from 'vitest';
import { findFreeSlot, initToken } from '../../src/admin/token-provisioning.ts';
import type { TokenModule } from '../../src/pkcs11/module.ts';

const PINS = { so: 'so-secret', user: 'user-secret' };
const INITIALISED = 0x400;

/** What the token answers to each call that is named here, instead of doing it. */
let failures: Readonly<Record<string, string>> = {};
let calls: string[] = [];

beforeEach(() => {
  failures = {};
  calls = [];
});

test('passes the label filled up with blanks to 32 bytes', () => {
  const { module, slot } = emptyToken();

  initToken(module, { slot, info: slot.getToken() }, 'prüf', PINS);

  expect(calls[0]).toBe(`C_InitToken ${'prüf'.padEnd(31)}|`);
});

test('logs in as security officer to set the user PIN, and then once as user', () => {
  const { module, slot } = emptyToken();

  initToken(module, { slot, info: slot.getToken() }, 'prod', PINS);

  expect(calls.slice(1)).toEqual([
    'C_Login so',
    'C_InitPIN',
    'C_Logout',
    'C_Login user',
    'C_Logout',
  ]);
});

test.each([
  ['C_InitToken', 'CKR_PIN_INCORRECT:160', 'WRONG_PIN', 'nothing was changed'],
  ['C_InitToken', 'CKR_DEVICE_ERROR:48', 'TOKEN_UNAVAILABLE', 'nothing was changed'],
  ['C_Login so', 'CKR_PIN_INCORRECT:160', 'WRONG_PIN', 'has no user PIN'],
  ['C_InitPIN', 'CKR_PIN_INVALID:161', 'WRONG_PIN', 'has no user PIN'],
  ['C_InitPIN', 'CKR_DEVICE_MEMORY:49', 'TOKEN_FULL', 'has no user PIN'],
  ['C_Logout', 'CKR_DEVICE_ERROR:48', 'TOKEN_UNAVAILABLE', 'its user PIN is set'],
  ['C_Login user', 'CKR_PIN_INCORRECT:160', 'WRONG_PIN', 'its user PIN is set'],
])('%s that fails with %s is %s and says: %s', (call, failure, reason, state) => {
  const { module, slot } = emptyToken();
  failures = { [call]: failure };

  const act = () => initToken(module, { slot, info: slot.getToken() }, 'prod', PINS);

  expect(act).toThrow(expect.objectContaining({ reason, message: expect.stringContaining(state) }));
  expect(act).not.toThrow(/secret/);
});

test('says so where a module has no empty token', () => {
  const { module, slot } = emptyToken();
  slot.lib.C_InitToken(slot.handle, PINS.so, 'old');

  expect(() => findFreeSlot(module, 'prod')).toThrow(
    expect.objectContaining({ reason: 'NO_FREE_SLOT' }),
  );
});

/** A module with one slot, as far as provisioning uses it. */
function emptyToken(): { readonly module: TokenModule; readonly slot: TokenSlot } {
  let info = { label: '', serialNumber: '', flags: 0 };
  const call = (name: string, note = '') => {
    calls.push(name + note);
    const failure = failures[name];
    if (failure !== undefined) throw new Error(failure);
  };
  const slot = {
    handle: Buffer.alloc(8),
    lib: {
      C_InitToken: (_slot: Buffer, _pin: string, label: string) => {
        call('C_InitToken', ` ${label}|`);
        info = { label: label.trim(), serialNumber: '5309', flags: INITIALISED };
      },
      C_OpenSession: () => Buffer.alloc(8),
      C_Login: (_session: Buffer, user: number) => call(`C_Login ${user === 0 ? 'so' : 'user'}`),
      C_Logout: () => call('C_Logout'),
      C_InitPIN: () => call('C_InitPIN'),
    },
    getToken: () => info,
  } as unknown as TokenSlot;
  const module = { libFile: 'module.so', getSlots: () => [slot] } as unknown as TokenModule;
  return { module, slot };
}
