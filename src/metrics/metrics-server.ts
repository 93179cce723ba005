import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Metrics } from './metrics.ts';

const PATH = '/metrics';

/** Whoever asks is a monitoring system or two, which ask some times a minute. */
const MAX_CONNECTIONS = 16;
const MAX_HEADER_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 60_000;
const CHECK_INTERVAL_MS = 1_000;

/** Answers `GET /metrics`, and nothing else; it does not listen yet. */
export function createMetricsServer(
  metrics: Pick<Metrics, 'text' | 'contentType'>,
  onFailure: (error: unknown) => void,
): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    (request, response) => {
      answer(metrics, request, response).catch((error: unknown) => {
        onFailure(error);
        response.writeHead(500).end();
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  // A peer that does not read its answer goes, too.
  server.setTimeout(IDLE_TIMEOUT_MS);
  return server;
}

async function answer(
  metrics: Pick<Metrics, 'text' | 'contentType'>,
  { method, url }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (url !== PATH) {
    response.writeHead(404).end();
  } else if (method !== 'GET' && method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end();
  } else {
    const text = await metrics.text();
    response.writeHead(200, { 'Content-Type': metrics.contentType }).end(text);
  }
}
