import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Config, MetricsAddress } from './config/config.ts';
import type { Metrics } from './metrics/metrics.ts';
import { createMetricsServer } from './metrics/metrics-server.ts';
import { asListenerError, hostAndPort } from './rpc/listener.ts';
import { listenOnUnixSocket } from './rpc/unix-socket.ts';

export interface MetricsEndpoint {
  /** `unix:PATH` or `http://HOST:PORT/metrics`. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * The package that counts takes memory, so that it is loaded only where metrics are told.
 *
 * @returns undefined where they are not
 */
export async function loadMetrics({ metrics }: Config): Promise<typeof Metrics | undefined> {
  return metrics.listen && (await import('./metrics/metrics.ts')).Metrics;
}

/** @throws {ListenerError} when it cannot listen there */
export async function openMetricsEndpoint(
  metrics: Metrics,
  address: MetricsAddress,
  onFailure: (error: unknown) => void,
): Promise<MetricsEndpoint> {
  const server = createMetricsServer(metrics, onFailure);
  try {
    const release = await listen(server, address);
    server.on('error', onFailure);
    return { address: addressOf(server, address), close: () => close(server, release) };
  } catch (error) {
    throw asListenerError(error, address);
  }
}

async function listen(server: Server, address: MetricsAddress): Promise<() => Promise<void>> {
  if (address.kind === 'unix') return listenOnUnixSocket(server, address);
  server.listen(address);
  await once(server, 'listening');
  return async () => undefined;
}

async function close(server: Server, release: () => Promise<void>): Promise<void> {
  server.close();
  server.closeAllConnections();
  await release();
}

function addressOf(server: Server, address: MetricsAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
  return `http://${hostAndPort(address.host, port)}/metrics`;
}
