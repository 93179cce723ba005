import { constants, createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ListenerError } from './listener-error.ts';
import { parseRevocationList, type RevocationList, revocationListsIn } from './revocation-list.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** The authorities that may vouch for clients. */
  readonly clientCa: string;
  /** A revocation list of each of them; undefined where none is looked at. */
  readonly clientCrl?: string | undefined;
}

/** When the first certificate or list in a file expires. */
export interface FileExpiry {
  readonly file: string;
  readonly role: 'server' | 'client_ca' | 'client_crl';
  readonly expiresAtMs: number;
}

/** What a server needs for TLS, as its files said when they were read. */
export interface TlsCredentials {
  readonly context: SecureContextOptions;
  readonly expiries: readonly FileExpiry[];
  /** Of each file's content, by its path. */
  readonly digests: ReadonlyMap<string, string>;
  /**
   * Whether one of the authorities vouches for it, and no list revokes it or what came with it.
   * TLS looks at a certificate more closely; this is for those that TLS let in some time ago.
   */
  isTrusted(certificate: X509Certificate): boolean;
}

/** Longer chains no handshake accepts. */
const MAX_CHAIN = 100;

/**
 * Reads the files, and looks whether they fit each other.
 *
 * @throws {ListenerError} naming the file that cannot be used
 */
export function readTlsCredentials(files: TlsFiles): TlsCredentials {
  const contents = new Map(pathsOf(files).map((file) => [file, read(file)]));
  const textOf = (file: string) => contents.get(file) ?? '';
  const authorities = certificatesIn(files.clientCa, textOf(files.clientCa));
  const own = certificatesIn(files.certificate, textOf(files.certificate));
  const lists = listsIn(files, textOf, authorities);
  const context: SecureContextOptions = {
    cert: textOf(files.certificate),
    key: textOf(files.key),
    ca: textOf(files.clientCa),
    // Node reads no more than one list of each text.
    ...(files.clientCrl !== undefined && { crl: revocationListsIn(textOf(files.clientCrl)) }),
    minVersion: 'TLSv1.3',
    // Without tickets every connection proves its certificate; a resumed one would not.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  using(`${files.certificate} with ${files.key}`, () => createSecureContext(context));
  return {
    context,
    expiries: [
      { file: files.certificate, role: 'server', expiresAtMs: firstEnd(own) },
      { file: files.clientCa, role: 'client_ca', expiresAtMs: firstEnd(authorities) },
      ...listExpiries(files.clientCrl, lists),
    ],
    digests: new Map([...contents].map(([file, text]) => [file, digestOf(text)])),
    isTrusted: (certificate) => {
      const chain = chainOf(certificate);
      return (
        chain.some((link) => authorities.some((authority) => isVouchedFor(link, authority))) &&
        !chain.some((link) => lists.some((list) => list.revokes(link)))
      );
    },
  };
}

/** @throws {ListenerError} where nobody could connect with them any more */
export function assertCurrent({ expiries }: TlsCredentials, nowMs = Date.now()): void {
  for (const { file, role, expiresAtMs } of expiries) {
    // An authority that has expired may stand beside one that has not.
    if (role === 'client_ca' || expiresAtMs > nowMs) continue;
    const when = new Date(expiresAtMs).toISOString();
    throw new ListenerError('configuration', `cannot use ${file}: it expired at ${when}`);
  }
}

/** Every file that these name. */
export function pathsOf({ certificate, key, clientCa, clientCrl }: TlsFiles): string[] {
  return [certificate, key, clientCa, ...(clientCrl === undefined ? [] : [clientCrl])];
}

// A file without a certificate would be no error for Node: just nobody could connect.
function certificatesIn(file: string, pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return using(file, () => (blocks ?? [pem]).map((block) => new X509Certificate(block)));
}

/** OpenSSL refuses every client of an authority of which there is no list. */
function listsIn(
  { clientCa, clientCrl }: TlsFiles,
  textOf: (file: string) => string,
  authorities: readonly X509Certificate[],
): readonly RevocationList[] {
  if (clientCrl === undefined) return [];
  return using(clientCrl, () => {
    const lists = revocationListsIn(textOf(clientCrl)).map(parseRevocationList);
    const missing = authorities.find((authority) => !lists.some((list) => list.isOf(authority)));
    if (missing) throw new Error(`it has no revocation list of ${nameOf(missing)}, of ${clientCa}`);
    return lists;
  });
}

function listExpiries(file: string | undefined, lists: readonly RevocationList[]): FileExpiry[] {
  const ends = lists.flatMap(({ expiresAtMs }) => expiresAtMs ?? []);
  if (file === undefined || ends.length === 0) return [];
  return [{ file, role: 'client_crl', expiresAtMs: Math.min(...ends) }];
}

function firstEnd(certificates: readonly X509Certificate[]): number {
  return Math.min(...certificates.map(({ validTo }) => Date.parse(validTo)));
}

function chainOf(certificate: X509Certificate): X509Certificate[] {
  const chain = [certificate];
  for (let next = certificate.issuerCertificate; next; next = next.issuerCertificate) {
    if (chain.push(next) >= MAX_CHAIN) break;
  }
  return chain;
}

function isVouchedFor(certificate: X509Certificate, authority: X509Certificate): boolean {
  if (certificate.fingerprint256 === authority.fingerprint256) return true;
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

function nameOf({ subject }: X509Certificate): string {
  return subject.replaceAll('\n', ', ');
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function read(file: string): string {
  return using(file, () => readFileSync(file, 'utf8'));
}

function using<Result>(what: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new ListenerError('configuration', `cannot use ${what}: ${problem}`, error);
  }
}
