import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { on, type Pkcs11Shim, pkcs11Shim } from '../support/pkcs11-shim.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const signal = new AbortController().signal;

let softHsm: SoftHsm;
let shim: Pkcs11Shim;
let token: HostedToken;
let started = 0;

beforeAll(async () => {
  softHsm = createSoftHsm();
  shim = pkcs11Shim(softHsm);
  const { module, environment } = shim;
  token = await startHostedToken(softHsm, {
    ...{ module, environment, warmKeys: 'off' },
    onTransition: ({ event }) => {
      if (event === 'started') started += 1;
    },
  });
});

beforeEach(() => shim.control());

afterEach(() => shim.control());

afterAll(async () => {
  await token?.close(2_000);
  softHsm?.remove();
});

async function outcomes(): Promise<Readonly<Record<string, boolean | undefined>>> {
  const { attributes } = await token.info(signal);
  return Object.fromEntries(attributes.map(({ attribute, enforced }) => [attribute, enforced]));
}

async function foundOf(attribute: string): Promise<string | undefined> {
  const { attributes } = await token.info(signal);
  return attributes.find((support) => support.attribute === attribute)?.found;
}

describe('of SoftHSM', () => {
  test('is what the token says of itself', async () => {
    const info = await token.info(signal);

    expect(info).toMatchObject({
      label: softHsm.label,
      manufacturer: 'SoftHSM project',
      model: 'SoftHSM v2',
      serial: expect.stringMatching(/^[0-9a-f]{16}$/),
      hardwareVersion: expect.stringMatching(/^\d+\.\d+$/),
      firmwareVersion: expect.stringMatching(/^\d+\.\d+$/),
    });
  });

  test('has the mechanisms that it lacks', async () => {
    const { algorithms } = await token.info(signal);

    expect(algorithms.filter(({ lacks }) => lacks !== undefined)).toEqual([
      { algorithm: 'HMAC_SHA3_256', lacks: 'CKM_SHA3_256_HMAC' },
      { algorithm: 'HMAC_SHA3_384', lacks: 'CKM_SHA3_384_HMAC' },
      { algorithm: 'HMAC_SHA3_512', lacks: 'CKM_SHA3_512_HMAC' },
    ]);
  });

  test('shows that it enforces every attribute, and how', async () => {
    const { attributes } = await token.info(signal);

    expect(attributes.map(({ attribute, enforced }) => [attribute, enforced])).toEqual([
      ['CKA_SIGN', true],
      ['CKA_VERIFY', true],
      ['CKA_ALLOWED_MECHANISMS', true],
      ['CKA_SENSITIVE', true],
      ['CKA_EXTRACTABLE', true],
      ['CKA_COPYABLE', true],
      ['CKA_DESTROYABLE', true],
    ]);
    expect(await foundOf('CKA_SIGN')).toContain(
      'C_SignInit failed with CKR_KEY_FUNCTION_NOT_PERMITTED',
    );
  });

  test('tells who has sessions, and whether they sign with copies', async () => {
    await until(() => started === 2);

    const { hosts } = await token.info(signal);

    const host = { sessions: 2, warmth: { warm: false, why: 'configured: off' } };
    expect(hosts).toEqual([host, host]);
  });

  test('leaves on the token what was there', async () => {
    const before = softHsm.pkcs11Tool('--list-objects');

    await token.info(signal);

    expect(softHsm.pkcs11Tool('--list-objects')).toBe(before);
  });
});

describe('of a token that differs', () => {
  test('has attributes that it does not heed', async () => {
    await shim.control(on('C_DestroyObject').return('CKR_OK'));

    expect(await outcomes()).toMatchObject({ CKA_SIGN: true, CKA_DESTROYABLE: false });
    expect(await foundOf('CKA_DESTROYABLE')).toBe('the token does what it forbids');
  });

  test('has attributes that it does not know', async () => {
    await shim.control(on('C_GenerateKey').return('CKR_ATTRIBUTE_TYPE_INVALID', { times: 1 }));

    expect(await outcomes()).toMatchObject({ CKA_SIGN: false, CKA_VERIFY: true });
  });

  test('has attributes that nothing can be said of', async () => {
    await shim.control(on('C_WrapKey').return('CKR_MECHANISM_INVALID'));

    expect(await outcomes()).toMatchObject({ CKA_EXTRACTABLE: undefined, CKA_COPYABLE: true });
    expect(await foundOf('CKA_EXTRACTABLE')).toContain(
      'it cannot be tried: C_WrapKey failed with CKR_MECHANISM_INVALID',
    );
  });

  test('does not take a failure of the token for a refusal', async () => {
    await shim.control(on('C_CopyObject').return('CKR_DEVICE_ERROR', { skip: 1 }));

    expect(await outcomes()).toMatchObject({ CKA_COPYABLE: undefined, CKA_DESTROYABLE: true });
  });

  test('is not there while the token is lost', async () => {
    await shim.control(on('C_GenerateKey').return('CKR_DEVICE_REMOVED', { times: 1 }));

    const error = await token.info(signal).catch((failure: unknown) => failure);

    expect(error).toBeInstanceOf(SigildError);
    expect(error).toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });
    await expect(token.info(signal)).resolves.toMatchObject({ label: softHsm.label });
  });
});
