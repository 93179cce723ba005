import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { ChannelCredentials } from '@grpc/grpc-js';
import { isLoopback } from '../config/tcp-address.ts';
import { CommandFailure, messageOf, usageFailure } from './command-failure.ts';
import { ADDRESS_HINT, type TlsOptions } from './daemon-options.ts';

/** Where the daemon listens. */
export interface DaemonAddress {
  /** As the gRPC library names it. */
  readonly target: string;
  /** Whether nobody between here and there can listen in. */
  readonly isLocal: boolean;
}

const HOST_AND_PORT = /^(?:\[(?<v6>[0-9A-Fa-f:.]+)\]|(?<host>[A-Za-z0-9.-]+)):(?<port>[0-9]{1,5})$/;
const HIGHEST_PORT = 65_535;

/**
 * @param text `unix:PATH`, `HOST:PORT` or `[IPv6]:PORT`
 * @throws {CommandFailure} USAGE
 */
export function parseAddress(text: string): DaemonAddress {
  if (/^unix:./.test(text)) {
    return { target: `unix:${resolve(text.slice('unix:'.length))}`, isLocal: true };
  }
  const { v6, host = v6, port: digits } = HOST_AND_PORT.exec(text)?.groups ?? {};
  const port = Number(digits);
  const isPort = port >= 1 && port <= HIGHEST_PORT;
  if (host !== undefined && isPort && (v6 === undefined || isIPv6(v6))) {
    const isLocal = isIP(host) === 0 ? host === 'localhost' : isLoopback({ host, port });
    return { target: `dns:${text}`, isLocal };
  }
  throw usageFailure(`"${text}" is no address of a daemon`, ADDRESS_HINT);
}

/**
 * Credentials for mutual TLS 1.3; without files plaintext, which only a local daemon gets.
 *
 * @throws {CommandFailure} USAGE, CONFIGURATION
 */
export function credentialsFor(
  { isLocal }: DaemonAddress,
  { ca, cert, keyFile }: TlsOptions,
): ChannelCredentials {
  if (ca !== undefined && cert !== undefined && keyFile !== undefined) {
    return mutualTls(ca, cert, keyFile);
  }
  if (ca !== undefined || cert !== undefined || keyFile !== undefined) {
    throw usageFailure('--ca, --cert and --key-file belong together: give all three or none');
  }
  if (isLocal) return ChannelCredentials.createInsecure();
  throw usageFailure(
    'without TLS only a unix socket or a loopback address is spoken to',
    'give --ca, --cert and --key-file',
  );
}

function mutualTls(ca: string, cert: string, keyFile: string): ChannelCredentials {
  const files = { ca: readPem(ca), cert: readPem(cert), key: readPem(keyFile) };
  try {
    // Node takes a file without any certificate for authorities, and then trusts nobody.
    new X509Certificate(files.ca);
    return ChannelCredentials.createFromSecureContext(
      createSecureContext({ ...files, minVersion: 'TLSv1.3' }),
    );
  } catch (error) {
    throw new CommandFailure(
      'CONFIGURATION',
      `${ca}, ${cert} and ${keyFile} make no TLS client: ${messageOf(error)}`,
      {
        nextStep: 'they must be PEM, and the key must be the one of the certificate',
        cause: error,
      },
    );
  }
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandFailure('CONFIGURATION', `${file} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
