import { type KeyObject, verify, type X509Certificate } from 'node:crypto';
import { DER_TAG, type DerValue, derValues } from './der.ts';

/** By the signature algorithm's object identifier, in hexadecimal. */
const SIGNATURE_HASHES: ReadonlyMap<string, string | undefined> = new Map([
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  // Ed25519 hashes by itself.
  ['2b6570', undefined],
]);

/** An authority's list of the certificates that it has revoked. */
export interface RevocationList {
  readonly startsAtMs: number;
  /** When there is to be a newer one; Infinity where the authority does not say. */
  readonly expiresAtMs: number;
  /** A list with a signature of a kind that is not known here counts as right: TLS looks again. */
  isOf(authority: X509Certificate): boolean;
  revokes(certificate: X509Certificate): boolean;
}

/** @param pem may hold several, and other text besides */
export function revocationListsIn(pem: string): string[] {
  return pem.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
}

/** @throws {Error} for what is no list */
export function parseRevocationList(pem: string): RevocationList {
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ''), 'base64');
  const [list, algorithm, signature] = children(derValues(der)[0]);
  const fields = children(list);
  if (fields[0]?.tag === DER_TAG.integer) fields.shift();
  const [, issuer, issuedAt, ...rest] = fields;
  if (!list || !signature || !issuer || !issuedAt) throw new Error('it is no revocation list');
  const expiresAt = isTime(rest[0]) ? rest.shift() : undefined;
  const revoked = rest[0]?.tag === DER_TAG.sequence ? children(rest[0]) : [];
  const serials = new Set(revoked.map((entry) => serialOf(children(entry)[0])));
  return {
    startsAtMs: timeOf(issuedAt),
    expiresAtMs: expiresAt ? timeOf(expiresAt) : Number.POSITIVE_INFINITY,
    isOf: (authority) =>
      namesOf(authority).subject.equals(issuer.whole) &&
      isSigned(list.whole, children(algorithm)[0], signature, authority.publicKey),
    revokes: (certificate) => {
      const names = namesOf(certificate);
      return names.issuer.equals(issuer.whole) && serials.has(names.serial);
    },
  };
}

function isSigned(
  bytes: Buffer,
  algorithm: DerValue | undefined,
  signature: DerValue,
  key: KeyObject,
): boolean {
  const identifier = algorithm?.content.toString('hex') ?? '';
  if (!SIGNATURE_HASHES.has(identifier)) return true;
  // A bit string's first byte counts the bits that its last one leaves over.
  return verify(SIGNATURE_HASHES.get(identifier), bytes, key, signature.content.subarray(1));
}

function namesOf(certificate: X509Certificate) {
  const fields = children(children(derValues(certificate.raw)[0])[0]);
  if (fields[0]?.tag === DER_TAG.version) fields.shift();
  const [serial, , issuer, , subject] = fields;
  if (!issuer || !subject) throw new Error('it is no certificate');
  return { serial: serialOf(serial), issuer: issuer.whole, subject: subject.whole };
}

function serialOf(value: DerValue | undefined): string {
  return value?.content.toString('hex') ?? '';
}

function children(value: DerValue | undefined): DerValue[] {
  return value ? derValues(value.content) : [];
}

function isTime(value: DerValue | undefined): boolean {
  return value?.tag === DER_TAG.utcTime || value?.tag === DER_TAG.generalizedTime;
}

/** A UTCTime has two digits of the year: from 1950 to 2049. */
function timeOf({ tag, content }: DerValue): number {
  const text = content.toString('latin1');
  const century = Number(text.slice(0, 2)) < 50 ? '20' : '19';
  const digits = tag === DER_TAG.utcTime ? `${century}${text}` : text;
  const iso = digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const timeMs = Date.parse(iso);
  if (Number.isNaN(timeMs)) throw new Error('it has a time that is none');
  return timeMs;
}
