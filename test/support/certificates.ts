import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** As openssl's `-subj` wants it, for instance `/CN=shop`. */
  readonly subject: string;
  /** As openssl's `subjectAltName` wants it, for instance `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string;
  readonly usage: 'clientAuth' | 'serverAuth';
  /** Its time ended yesterday. */
  readonly expired?: boolean;
}

export interface RevocationListOptions {
  /** Certificates of this authority; none unless told otherwise. */
  readonly revoked?: readonly KeyPair[];
  /** The year that it is valid in, if not now. */
  readonly year?: number;
}

export interface Authority extends KeyPair {
  issue(name: string, options: CertificateOptions): KeyPair;
  /** An authority for which this one vouches. */
  delegate(name: string): Authority;
  /** @returns the path of the list, as PEM */
  revocationList(name: string, options?: RevocationListOptions): string;
}

const VALID_DAYS = '2';

/** Makes a certificate authority of its own with the openssl program. */
export function createAuthority(folder: string, name = 'ca', issuer?: KeyPair): Authority {
  const authority = make(
    ...([folder, name, `/CN=${name}`] as const),
    ['basicConstraints = critical, CA:true', 'keyUsage = critical, keyCertSign, cRLSign'],
    issuer,
  );
  return {
    ...authority,
    issue: (leaf, { subject, names, usage, expired = false }) => {
      const extensions = [
        'basicConstraints = critical, CA:false',
        `extendedKeyUsage = ${usage}`,
        ...(names === undefined ? [] : [`subjectAltName = ${names}`]),
      ];
      const issued = make(folder, leaf, subject, extensions, authority);
      if (expired) expire(issued, join(folder, `${leaf}.cnf`), authority);
      return issued;
    },
    delegate: (delegated) => createAuthority(folder, delegated, authority),
    revocationList: (list, options) => makeList(folder, list, authority, options),
  };
}

/** Makes a client's certificate that no authority has signed. */
export function createSelfSigned(folder: string, name: string): KeyPair {
  return make(folder, name, `/CN=${name}`, [
    'keyUsage = critical, digitalSignature',
    'extendedKeyUsage = clientAuth',
  ]);
}

/** `openssl ca` keeps what it has revoked in a text file, one line for each. */
function makeList(
  folder: string,
  name: string,
  issuer: KeyPair,
  { revoked = [], year }: RevocationListOptions = {},
): string {
  const [list, config, database] = ['crl', 'crl.cnf', 'crl.txt'].map((suffix) =>
    join(folder, `${name}.${suffix}`),
  ) as [string, string, string];
  const lines = revoked.map(({ certificate }) => {
    const serial = new X509Certificate(readFileSync(certificate)).serialNumber;
    return `R\t301231235959Z\t200101000000Z\t${serial}\tunknown\t/CN=revoked\n`;
  });
  writeFileSync(database, lines.join(''));
  writeFileSync(
    config,
    ['[ca]', 'default_ca = d', '[d]', `database = ${database}`, 'default_md = sha256'].join('\n'),
  );
  const times =
    year === undefined
      ? ['-crldays', VALID_DAYS]
      : ['-crl_lastupdate', `${year}0101000000Z`, '-crl_nextupdate', `${year + 1}0101000000Z`];
  execFileSync(
    'openssl',
    [
      ...['ca', '-gencrl', '-config', config, '-out', list, ...times],
      ...['-keyfile', issuer.key, '-cert', issuer.certificate],
    ],
    { stdio: 'pipe' },
  );
  return list;
}

function make(
  folder: string,
  name: string,
  subject: string,
  extensions: readonly string[],
  issuer?: KeyPair,
): KeyPair {
  const [certificate, key, config] = ['pem', 'key', 'cnf'].map((suffix) =>
    join(folder, `${name}.${suffix}`),
  ) as [string, string, string];
  // Without a configuration of its own, openssl would add what the machine's says.
  writeFileSync(
    config,
    ['[req]', 'distinguished_name = dn', '[dn]', '[v3]', ...extensions].join('\n'),
  );
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-days', VALID_DAYS, '-config', config, '-extensions', 'v3'],
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-utf8'],
      ...['-subj', subject, '-keyout', key, '-out', certificate],
      ...(issuer ? ['-CA', issuer.certificate, '-CAkey', issuer.key] : []),
    ],
    { stdio: 'pipe' },
  );
  return { certificate, key };
}

/** Signs a certificate anew: `openssl req` makes none whose time is over, `openssl x509` does. */
function expire({ certificate, key }: KeyPair, config: string, issuer: KeyPair): void {
  const request = execFileSync(
    'openssl',
    ['x509', '-x509toreq', '-in', certificate, '-signkey', key],
    { stdio: 'pipe' },
  );
  execFileSync(
    'openssl',
    [
      ...['x509', '-req', '-days', '-1', '-set_serial', '1', '-out', certificate],
      ...['-CA', issuer.certificate, '-CAkey', issuer.key, '-extfile', config, '-extensions', 'v3'],
    ],
    { input: request, stdio: 'pipe' },
  );
}
