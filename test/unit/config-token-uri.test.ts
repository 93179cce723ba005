import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseTokenUri } from '../../src/config/token-uri.ts';

test.each([
  ['pkcs11:token=prod', { label: 'prod' }],
  ['PKCS11:token=prod', { label: 'prod' }],
  [
    'pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=2d8c8ce6;token=a%3Bb',
    { label: 'a;b', manufacturer: 'SoftHSM project', serial: '2d8c8ce6', model: 'SoftHSM v2' },
  ],
  ["pkcs11:token=:[]@!$'()*+,=&", { label: ":[]@!$'()*+,=&" }],
  ['pkcs11:token=%C3%A9', { label: 'é' }],
])('selects a token by %s', (uri, selector) => {
  expect(parseTokenUri(uri)).toEqual(selector);
});

test.each([
  ['another scheme', 'pkcs12:token=prod', 'must begin with pkcs11:'],
  ['no attribute', 'pkcs11:', 'must be name=value pairs'],
  ['no value', 'pkcs11:token=', 'must be name=value pairs'],
  ['no name', 'pkcs11:prod', 'must be name=value pairs'],
  ['a blank', 'pkcs11:token=a b', 'must be name=value pairs'],
  ['half an escape', 'pkcs11:token=%2', 'must be name=value pairs'],
  ['a semicolon at its end', 'pkcs11:token=prod;', 'must be name=value pairs'],
  ['an attribute twice', 'pkcs11:token=a;token=a', 'must not have token twice'],
  ['bytes that are no UTF-8', 'pkcs11:token=%FF', 'token must be UTF-8 of at most 32 bytes'],
  ['a long serial number', `pkcs11:serial=${'1'.repeat(17)}`, 'at most 16 bytes'],
  ['a slot number', 'pkcs11:token=a;slot-id=0', 'slot-id is refused: slot numbers change'],
  ['a PIN', 'pkcs11:token=a?pin-value=1234', 'pin-value is refused'],
  ['a place of a PIN', 'pkcs11:token=a?pin-source=file:/pin', 'pin-source is refused'],
  ['a library', 'pkcs11:token=a?module-path=/x.so', 'the library is the one that module names'],
  ['an object', 'pkcs11:token=a;object=key', 'only token, manufacturer, serial, model are allowed'],
  ['an unknown query', 'pkcs11:token=a?x=1', 'only token, manufacturer, serial, model are allowed'],
])('refuses %s', (_, uri, problem) => {
  expect(parseTokenUri(uri)).toEqual({ problem: expect.stringContaining(problem) });
});

test('reads every label back that an encoder writes', () => {
  const label = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 32 })
    .filter((text) => Buffer.byteLength(text) <= 32);

  fc.assert(
    fc.property(label, (text) => {
      expect(parseTokenUri(`pkcs11:token=${encodeURIComponent(text)}`)).toEqual({ label: text });
    }),
  );
});
