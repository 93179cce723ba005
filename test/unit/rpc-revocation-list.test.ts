import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { derValues } from '../../src/rpc/der.ts';
import { parseRevocationList, revocationListsIn } from '../../src/rpc/revocation-list.ts';
import { type Authority, createAuthority, type KeyPair } from '../support/certificates.ts';

let folder: string;
let authority: Authority;
/** Of the same name and another key. */
let successor: Authority;
let revoked: KeyPair;
let valid: KeyPair;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-crl-'));
  authority = createAuthority(folder);
  const issue = (name: string) =>
    authority.issue(name, { subject: `/CN=${name}`, usage: 'clientAuth' });
  [revoked, valid] = [issue('revoked'), issue('valid')];
  successor = { ...createAuthority(mkdtempSync(join(folder, 'successor-'))) };
});

afterAll(() => rmSync(folder, { recursive: true }));

function read(path: string): string {
  return readFileSync(path, 'utf8');
}

function certificate({ certificate: path }: KeyPair): X509Certificate {
  return new X509Certificate(read(path));
}

test('a list revokes the certificates that it names', () => {
  const list = parseRevocationList(read(authority.revocationList('one', { revoked: [revoked] })));

  expect(list.revokes(certificate(revoked))).toBe(true);
  expect(list.revokes(certificate(valid))).toBe(false);
  expect(list.revokes(certificate(authority))).toBe(false);
});

test('a list without entries revokes nothing', () => {
  const list = parseRevocationList(read(authority.revocationList('none')));

  expect(list.revokes(certificate(revoked))).toBe(false);
});

test('a list is of the authority that signed it, whatever the name of another', () => {
  const list = parseRevocationList(read(authority.revocationList('signed')));

  expect(list.isOf(certificate(authority))).toBe(true);
  expect(certificate(successor).subject).toBe(certificate(authority).subject);
  expect(list.isOf(certificate(successor))).toBe(false);
  expect(list.isOf(certificate(valid))).toBe(false);
});

test('a list knows when there is to be a newer one', () => {
  const list = parseRevocationList(read(authority.revocationList('over', { year: 2020 })));

  expect(list.expiresAtMs).toBe(Date.UTC(2021, 0, 1));
});

test('a text can hold several lists, and text besides', () => {
  const [one, two] = [authority.revocationList('a'), authority.revocationList('b')].map(read);

  expect(revocationListsIn(`of ca:\n${one}\nand:\n${two}`)).toHaveLength(2);
  expect(revocationListsIn('nothing')).toEqual([]);
});

test('what is no list is refused, wherever it is cut', () => {
  const whole = derOf(read(authority.revocationList('cut', { revoked: [revoked] })));

  for (let bytes = 0; bytes < whole.byteLength; bytes += 1) {
    const text = `-----BEGIN X509 CRL-----\n${whole.subarray(0, bytes).toString('base64')}\n-----END X509 CRL-----`;
    expect(() => parseRevocationList(text), `${bytes} bytes`).toThrow();
  }
});

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ''), 'base64');
}

describe('DER', () => {
  test('is values side by side, each with its length before it', () => {
    const long = Buffer.alloc(300, 7);
    const bytes = Buffer.concat([Buffer.from([0x02, 1, 5, 0x04, 0x82, 1, 0x2c]), long]);

    expect(derValues(bytes).map(({ tag, content }) => [tag, content])).toEqual([
      [0x02, Buffer.from([5])],
      [0x04, long],
    ]);
  });

  test.each([
    ['a length that is not said', [0x30, 0x80, 0, 0]],
    ['a length of more bytes than any here', [0x30, 0x85, 0, 0, 0, 0, 1, 0]],
    ['more than there is', [0x30, 2, 5]],
    ['a tag alone', [0x30]],
  ])('is not %s', (_, bytes) => {
    expect(() => derValues(Buffer.from(bytes))).toThrow(RangeError);
  });
});
