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

/** When all the certificates or lists in a file are valid. */
export interface FileExpiry {
  readonly file: string;
  readonly role: 'server' | 'client_ca' | 'client_crl';
  readonly startsAtMs: number;
  /** Infinity for lists that do not say when there is to be a newer one. */
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

/** Of the certificates that came with another one: further ones are not looked at. */
const MAX_SENT = 10;

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
      expiryOf(files.certificate, 'server', own.map(validityOf)),
      expiryOf(files.clientCa, 'client_ca', authorities.map(validityOf)),
      ...(files.clientCrl === undefined ? [] : [expiryOf(files.clientCrl, 'client_crl', lists)]),
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

/** @throws {ListenerError} where nobody could connect with them now */
export function assertCurrent({ expiries }: TlsCredentials, nowMs = Date.now()): void {
  for (const { file, role, startsAtMs, expiresAtMs } of expiries) {
    // An authority that has expired may stand beside one that has not.
    if (role === 'client_ca' || (startsAtMs <= nowMs && nowMs < expiresAtMs)) continue;
    const problem =
      startsAtMs > nowMs
        ? `is not valid before ${new Date(startsAtMs).toISOString()}`
        : `expired at ${new Date(expiresAtMs).toISOString()}`;
    throw new ListenerError('configuration', `cannot use ${file}: it ${problem}`);
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

function validityOf({ validFrom, validTo }: X509Certificate) {
  return { startsAtMs: Date.parse(validFrom), expiresAtMs: Date.parse(validTo) };
}

function expiryOf(
  file: string,
  role: FileExpiry['role'],
  validities: readonly Pick<FileExpiry, 'startsAtMs' | 'expiresAtMs'>[],
): FileExpiry {
  return {
    ...{ file, role },
    startsAtMs: Math.max(...validities.map(({ startsAtMs }) => startsAtMs)),
    expiresAtMs: Math.min(...validities.map(({ expiresAtMs }) => expiresAtMs)),
  };
}

/**
 * The certificate, those that came with it and vouch for it, and those that vouch for these. Node
 * gives what the peer has sent, in the peer's order and whether or not one vouches for another.
 */
function chainOf(certificate: X509Certificate): X509Certificate[] {
  const sent: X509Certificate[] = [];
  for (let next = certificate.issuerCertificate; next; next = next.issuerCertificate) {
    if (sent.push(next) >= MAX_SENT) break;
  }
  const chain = [certificate];
  for (const link of chain) {
    const issuers = sent.filter((other) => !chain.includes(other) && isVouchedFor(link, other));
    chain.push(...issuers);
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
