import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientOf } from '../../src/rpc/certificate-identity.ts';
import { type Authority, createAuthority } from '../support/certificates.ts';

let folder: string;
let authority: Authority;
let issued = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-certificates-'));
  authority = createAuthority(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function certificate(subject: string, names?: string): X509Certificate {
  issued += 1;
  const options = { subject, usage: 'clientAuth', ...(names !== undefined && { names }) } as const;
  return new X509Certificate(readFileSync(authority.issue(`leaf-${issued}`, options).certificate));
}

test.each([
  [
    'the first URI before all else',
    'DNS:shop.example,URI:spiffe://a/shop,URI:spiffe://b',
    'spiffe://a/shop',
  ],
  [
    'the first DNS name without a URI',
    'IP:192.0.2.1,DNS:shop.example,DNS:b.example',
    'shop.example',
  ],
  ['the common name without either', 'IP:192.0.2.1,email:shop@example.com', 'common'],
  ['the common name without other names', undefined, 'common'],
])('a certificate names %s', (_, names, expected) => {
  expect(clientOf(certificate('/O=org/CN=common', names))).toBe(expected);
});

test.each([
  ['no name at all', '/O=org', undefined],
  ['two common names', '/CN=one/CN=two', undefined],
  ['a name that is not ASCII', '/CN=sh\u00f6p', undefined],
  ['a name of more than 255 characters', '/CN=common', `URI:spiffe://${'a'.repeat(255)}`],
])('a certificate with %s names nobody', (_, subject, names) => {
  expect(clientOf(certificate(subject, names))).toBeUndefined();
});

test('a name that looks like the end of itself and another name is one name', () => {
  const names = '@alternatives\n[alternatives]\nDNS.1 = shop, URI:spiffe://admin';

  expect(clientOf(certificate('/CN=common', names))).toBe('shop, URI:spiffe://admin');
});

test('a name of another type that looks like a URI is none', () => {
  const names = 'otherName:1.3.6.1.4.1.311.20.2.3;UTF8:URI:spiffe://admin,DNS:shop.example';

  expect(clientOf(certificate('/CN=common', names))).toBe('shop.example');
});
