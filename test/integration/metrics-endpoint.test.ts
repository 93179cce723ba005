import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Metrics, type MetricsSources } from '../../src/metrics/metrics.ts';
import { type MetricsEndpoint, openMetricsEndpoint } from '../../src/metrics-endpoint.ts';

const SOURCES: MetricsSources = {
  token: () => ({ hosts: 2, sessions: 8, waiting: 3 }),
  expiries: () => [{ file: '/tls.crt', role: 'server', expiresAtMs: 1_800_000_000_000 }],
};

let metrics: Metrics;
let endpoint: MetricsEndpoint;
let port: number;

beforeEach(async () => {
  metrics = new Metrics(SOURCES);
  endpoint = await open();
  port = Number(new URL(endpoint.address).port);
});

afterEach(() => endpoint.close());

function open(at = 0): Promise<MetricsEndpoint> {
  const address = { kind: 'tcp', host: '127.0.0.1', port: at } as const;
  return openMetricsEndpoint(metrics, address, () => undefined);
}

async function ask(options: RequestOptions): Promise<{ status: number | undefined; body: string }> {
  const asked = request({ host: '127.0.0.1', port, agent: false, ...options }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response) };
}

test('tells of the daemon and of its process', async () => {
  metrics.answered({ method: 'Sign', outcome: 'OK', durationMs: 3 });
  metrics.answered({ method: 'Sign', outcome: 'KEY_NOT_FOUND', durationMs: 0.1 });
  metrics.reloaded(false);

  const { status, body } = await ask({ path: '/metrics' });

  expect(status).toBe(200);
  expect(body.split('\n')).toEqual(
    expect.arrayContaining([
      'sigild_requests_total{method="Sign",outcome="OK"} 1',
      'sigild_requests_total{method="Sign",outcome="KEY_NOT_FOUND"} 1',
      'sigild_request_duration_seconds_bucket{le="0.0025",method="Sign"} 1',
      'sigild_request_duration_seconds_bucket{le="0.005",method="Sign"} 2',
      'sigild_token_hosts 2',
      'sigild_sessions 8',
      'sigild_waiting_requests 3',
      'sigild_certificate_expiry_seconds{file="/tls.crt",role="server"} 1800000000',
      'sigild_last_reload_successful 0',
    ]),
  );
  expect(body).toMatch(/^process_resident_memory_bytes \d+$/m);
});

test.each([
  ['another path', { path: '/' }, 404],
  ['a path with a query', { path: '/metrics?x' }, 404],
  ['another method', { path: '/metrics', method: 'POST' }, 405],
  ['a header that is too long', { path: '/metrics', headers: { x: 'y'.repeat(20_000) } }, 431],
])('answers %s with an error', async (_, options, status) => {
  expect((await ask(options)).status).toBe(status);
});

test('closes a connection that does not say what it wants', { timeout: 30_000 }, async () => {
  const socket = connect(port, '127.0.0.1');
  socket.resume().write('GET /metrics HTTP/1.1\r\n');

  await once(socket, 'close', { signal: AbortSignal.timeout(25_000) });
});

test('serves no more than some connections at once', async () => {
  const sockets = Array.from({ length: 40 }, () => connect(port, '127.0.0.1').resume());
  const closed = new Set<unknown>();
  for (const socket of sockets) {
    socket.on('error', () => undefined);
    socket.on('close', () => closed.add(socket));
  }

  await expect.poll(() => closed.size, { timeout: 10_000 }).toBe(40 - 16);
  for (const socket of sockets) socket.destroy();
});

describe('on a unix socket', () => {
  test('tells too, and removes the socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sigild-metrics-'));
    const path = join(folder, 'metrics.sock');
    const unix = { kind: 'unix', path, mode: 0o660, group: undefined } as const;
    const second = await openMetricsEndpoint(metrics, unix, () => undefined);

    const asked = get({ socketPath: path, path: '/metrics', agent: false });
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const body = await text(response);
    await second.close();

    expect(second.address).toBe(`unix:${path}`);
    expect(body).toContain('sigild_sessions 8');
    expect(existsSync(path)).toBe(false);
    rmSync(folder, { recursive: true });
  });
});

test('does not open where another listens', async () => {
  await expect(open(port)).rejects.toMatchObject({
    name: 'ListenerError',
    kind: 'in-use',
    message: expect.stringContaining(`127.0.0.1:${port}`),
  });
});
