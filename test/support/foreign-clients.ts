import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { KeyPair } from './certificates.ts';

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUF = join(ROOT, 'node_modules/.bin/buf');
const HEALTH_PROTO = join(ROOT, 'node_modules/grpc-health-check/proto');
const PYTHON = '/usr/bin/python3';

/** Where a daemon listens, and how a client shows who it is there. */
export interface Endpoint {
  /** `unix:PATH` or `HOST:PORT` */
  readonly address: string;
  readonly tls?: { readonly ca: string; readonly client: KeyPair };
}

/** The methods that foreign clients call, and the services that have them. */
const SERVICES = {
  CreateKey: 'sigild.v1.KeyService',
  Sign: 'sigild.v1.SigningService',
  Verify: 'sigild.v1.SigningService',
  SignStream: 'sigild.v1.SigningService',
  VerifyStream: 'sigild.v1.SigningService',
  Check: 'grpc.health.v1.Health',
} as const;

/** A response in proto3 JSON, which leaves fields with default values out; or an error. */
export type Answer = Readonly<Record<string, unknown>>;

/**
 * A client that shares no code with sigild; an error is `{ code, reason }`. A method whose client
 * streams is given a list of messages.
 */
export type ForeignClient = (
  endpoint: Endpoint,
  method: keyof typeof SERVICES,
  request?: object | readonly object[],
) => Promise<Answer>;

/**
 * Python's grpcio with stubs that protoc generates.
 *
 * @param folder where the stubs are put
 */
export async function pythonClient(folder: string): Promise<ForeignClient> {
  const plugins = [
    { protoc_builtin: 'python', out: folder },
    { local: 'grpc_python_plugin', out: folder },
  ];
  const inputs = [{ directory: join(ROOT, 'proto') }, { directory: HEALTH_PROTO }];
  await buf(folder, ['generate', '--template', JSON.stringify({ version: 'v2', inputs, plugins })]);
  const program = join(import.meta.dirname, 'python_client.py');
  return async ({ address, tls }, method, request = {}) => {
    const files = tls ? [tls.ca, tls.client.certificate, tls.client.key] : [];
    const args = [program, folder, address, method, JSON.stringify(request), ...files];
    const { stdout } = await run(PYTHON, args);
    return JSON.parse(stdout);
  };
}

/**
 * `buf curl`, which is written in Go.
 *
 * @param folder where it keeps its cache
 */
export function bufCurl(folder: string): ForeignClient {
  return async (endpoint, method, request = {}) => {
    const service = SERVICES[method];
    const schema = service === SERVICES.Check ? HEALTH_PROTO : join(ROOT, 'proto');
    const { origin, flags } = bufTarget(endpoint);
    const { exitCode, stdout, stderr } = await buf(folder, [
      ...['curl', '--timeout', '15s', '--schema', schema, '--protocol', 'grpc', ...flags],
      ...['--data', messagesOf(request), `${origin}/${service}/${method}`],
    ]);
    if (exitCode === 0) return JSON.parse(stdout);
    // For a failed call buf exits with the gRPC code, shifted three bits to the left.
    const code = exitCode >> 3;
    if (code === 0) throw new Error(stderr);
    return { code, reason: await reasonIn(folder, JSON.parse(stderr)) };
  };
}

/** One JSON document after the other. */
function messagesOf(request: object): string {
  const messages: readonly unknown[] = Array.isArray(request) ? request : [request];
  return messages.map((message) => JSON.stringify(message)).join('\n');
}

function bufTarget({ address, tls }: Endpoint) {
  const flags = tls
    ? ['--cacert', tls.ca, '--cert', tls.client.certificate, '--key', tls.client.key]
    : ['--http2-prior-knowledge'];
  const scheme = tls ? 'https' : 'http';
  if (!address.startsWith('unix:')) return { origin: `${scheme}://${address}`, flags };
  const socket = address.slice('unix:'.length);
  return { origin: `${scheme}://localhost`, flags: [...flags, '--unix-socket', socket] };
}

interface BufError {
  readonly details: readonly { readonly type: string; readonly value: string }[];
}

/** buf prints details as bytes, and reads them when it is told their type. */
async function reasonIn(folder: string, { details }: BufError): Promise<unknown> {
  const info = details.find(({ type }) => type === 'google.rpc.ErrorInfo');
  const { stdout } = await buf(
    folder,
    [
      ...['convert', join(ROOT, 'proto'), '--type', 'google.rpc.ErrorInfo'],
      ...['--from', '-#format=binpb', '--to', '-#format=json'],
    ],
    Buffer.from(info?.value ?? '', 'base64'),
  );
  const { domain, reason } = JSON.parse(stdout);
  return domain === 'sigild' ? reason : undefined;
}

async function buf(cache: string, args: readonly string[], input: Uint8Array = Buffer.alloc(0)) {
  const child = spawn(BUF, args, { env: { ...process.env, BUF_CACHE_DIR: cache } });
  child.stdin.end(input);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ]);
  return { exitCode, stdout, stderr };
}
