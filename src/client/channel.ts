import { isIP, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { ChannelCredentials, type ChannelOptions, Client } from '@grpc/grpc-js';

/** PEM texts, not names of files. */
export interface TlsOptions {
  /** The authorities that may have signed the daemon's certificate. */
  readonly ca: string | Buffer;
  /** The client's certificate, from which the daemon takes its identity. */
  readonly cert: string | Buffer;
  /** The key of that certificate. */
  readonly key: string | Buffer;
}

const CHANNEL_OPTIONS: ChannelOptions = {
  // A name server has no say in how calls are made, and a proxy none in what the daemon is told.
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  // Requests are repeated here, where it is known which of them are safe to repeat.
  'grpc.enable_retries': 0,
  // Connections to the same daemon in other clients have lives of their own.
  'grpc.use_local_subchannel_pool': 1,
  // A restarted daemon is found within the time that most calls have.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // A daemon whose machine has vanished is noticed while a call waits for it.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
};

const HOST_AND_PORT = /^(?:\[(?<v6>[0-9A-Fa-f:.]+)\]|(?<host>[A-Za-z0-9.-]+)):(?<port>[0-9]{1,5})$/;
const HIGHEST_PORT = 65_535;
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/;

interface Target {
  /** As the gRPC library names it. */
  readonly name: string;
  /** Whether nobody between here and there can listen in. */
  readonly isLocal: boolean;
}

/** @throws {TypeError} for an address or a TLS configuration that cannot work */
export function openChannel(address: string, tls: TlsOptions | undefined): Client {
  const target = parseAddress(address);
  return new Client(target.name, credentialsFor(target, tls), CHANNEL_OPTIONS);
}

function parseAddress(address: string): Target {
  if (/^unix:./.test(address)) {
    return { name: `unix:${resolve(address.slice('unix:'.length))}`, isLocal: true };
  }
  const { v6, host = v6, port } = HOST_AND_PORT.exec(address)?.groups ?? {};
  const isPort = Number(port) >= 1 && Number(port) <= HIGHEST_PORT;
  if (host === undefined || !isPort || (v6 !== undefined && !isIPv6(v6))) {
    throw new TypeError(`"${address}" is no address: give unix:PATH, HOST:PORT or [IPv6]:PORT`);
  }
  const isLocal = LOOPBACK.test(host) && (host === 'localhost' || isIP(host) !== 0);
  return { name: `dns:${address}`, isLocal };
}

function credentialsFor({ isLocal }: Target, tls: TlsOptions | undefined): ChannelCredentials {
  if (tls === undefined) {
    if (isLocal) return ChannelCredentials.createInsecure();
    throw new TypeError('without tls only a unix socket or a loopback address is spoken to');
  }
  const { ca, cert, key } = tls;
  // Node would trust the machine's authorities in place of none.
  if (!(ca && cert && key)) throw new TypeError('tls: ca, cert and key are required');
  try {
    const context = createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' });
    return ChannelCredentials.createFromSecureContext(context);
  } catch (error) {
    throw new TypeError('tls: ca, cert and key must be PEM texts, and the key the certificate’s', {
      cause: error,
    });
  }
}
