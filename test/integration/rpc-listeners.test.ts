import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net, { connect, createServer, type Server } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ListenerAddress, ListenerIdentity } from '../../src/rpc/listener.ts';
import { ListenerError } from '../../src/rpc/listener-error.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

const identity: ListenerIdentity = { kind: 'client', client: 'test' };
const IS_ROOT = userInfo().uid === 0;

let rpc: RpcFixture;
let path: string;

beforeEach(() => {
  rpc = startRpc();
  path = join(rpc.folder, 'sigild.sock');
});

afterEach(() => rpc.close());

function unix(changes: { mode?: number; group?: string | number } = {}): ListenerAddress {
  return { kind: 'unix', path, mode: 0o600, group: undefined, ...changes };
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' }).trim();
}

async function failureOf(opening: Promise<unknown>): Promise<ListenerError> {
  const error = await opening.then(
    () => new Error('it did not fail'),
    (failure: unknown) => failure,
  );
  if (error instanceof ListenerError) return error;
  throw error;
}

/** What a daemon leaves behind that was killed. */
async function leaveStaleSocket(): Promise<void> {
  const listen = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const daemon = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(daemon.stdout, 'data');
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
}

/** @returns the port */
async function occupy(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe('a unix socket', () => {
  test.each([0o600, 0o660, 0o666])('has the mode %o and leaves nothing beside it', async (mode) => {
    const address = await rpc.server.listen({ address: unix({ mode }), identity });

    expect(address).toBe(`unix:${path}`);
    expect(lstatSync(path).mode & 0o777).toBe(mode);
    expect(readdirSync(rpc.folder)).toEqual(['sigild.sock']);
  });

  test('serves who may connect', async () => {
    const client = rpc.connect(await rpc.server.listen({ address: unix(), identity }));

    await expect(client.listKeys({})).resolves.toMatchObject({ keys: [] });
  });

  test.runIf(IS_ROOT)('has the group of a given number', async () => {
    await rpc.server.listen({ address: unix({ group: 4_711 }), identity });

    expect(lstatSync(path).gid).toBe(4_711);
  });

  test('has the group of a given name', async () => {
    const group = IS_ROOT ? 'daemon' : run('id', '-gn');

    await rpc.server.listen({ address: unix({ group }), identity });

    expect(run('stat', '-c', '%G', path)).toBe(group);
  });

  test('is not made for a group that does not exist', async () => {
    const address = unix({ group: 'no-such-group' });

    const failure = await failureOf(rpc.server.listen({ address, identity }));

    expect(failure).toMatchObject({ kind: 'configuration' });
    expect(failure.message).toContain('no-such-group');
    expect(existsSync(path)).toBe(false);
  });

  test('takes the place of one whose process was killed', async () => {
    await leaveStaleSocket();

    const client = rpc.connect(await rpc.server.listen({ address: unix(), identity }));

    await expect(client.listKeys({})).resolves.toBeDefined();
  });

  test('does not take the place of one that somebody answers on', async () => {
    const other = createServer().listen(path);
    await once(other, 'listening');

    const failure = await failureOf(rpc.server.listen({ address: unix(), identity }));

    expect(failure.kind).toBe('in-use');
    await expect(once(connect(path), 'connect')).resolves.toBeDefined();
    other.close();
  });

  test('does not take the place of a file', async () => {
    writeFileSync(path, 'precious');

    const failure = await failureOf(rpc.server.listen({ address: unix(), identity }));

    expect(failure.kind).toBe('configuration');
    expect(failure.message).toContain(path);
    expect(lstatSync(path).isFile()).toBe(true);
  });

  test('is refused where its path is too long for the kernel', async () => {
    path = join(rpc.folder, 'x'.repeat(108));

    const failure = await failureOf(rpc.server.listen({ address: unix(), identity }));

    expect(failure.message).toContain('107');
  });

  test('is refused in a folder that is missing', async () => {
    path = join(rpc.folder, 'missing', 'sigild.sock');

    const failure = await failureOf(rpc.server.listen({ address: unix(), identity }));

    expect(failure.kind).toBe('configuration');
    expect(failure.message).toContain(path);
  });

  test('goes when the server stops accepting', async () => {
    await rpc.server.listen({ address: unix(), identity });

    await rpc.server.stopAccepting();

    expect(existsSync(path)).toBe(false);
  });

  test("stays when it is another daemon's by now", async () => {
    await rpc.server.listen({ address: unix(), identity });
    rmSync(path);
    const successor = startRpc();
    await successor.server.listen({ address: unix(), identity });

    await rpc.server.stopAccepting();

    await expect(successor.connect(`unix:${path}`).listKeys({})).resolves.toBeDefined();
    await successor.close();
  });
});

describe('a TCP listener', () => {
  test.each([
    ['127.0.0.1', /^127\.0\.0\.1:[1-9]\d*$/],
    ['::1', /^\[::1\]:[1-9]\d*$/],
  ])('without TLS serves on %s', async (host, expected) => {
    const address = await rpc.server.listen({ address: { kind: 'tcp', host, port: 0 }, identity });

    expect(address).toMatch(expected);
    await expect(rpc.connect(address).listKeys({})).resolves.toBeDefined();
  });

  test.each(['0.0.0.0', '::'])('without TLS is refused on %s', async (host) => {
    const address = { kind: 'tcp', host, port: 0 } as const;

    const failure = await failureOf(rpc.server.listen({ address, identity }));

    expect(failure.kind).toBe('configuration');
    expect(failure.message).toContain('TLS');
  });

  test('tells the port that is in use', async () => {
    const other = createServer();
    const port = await occupy(other);

    const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
    const failure = await failureOf(rpc.server.listen({ address, identity }));

    expect(failure.kind).toBe('in-use');
    expect(failure.message).toContain(`127.0.0.1:${port}`);
    other.close();
  });
});

test('a peer that speaks no HTTP/2 harms nobody', async () => {
  const client = rpc.connect(await rpc.server.listen({ address: unix(), identity }));
  const peer = connect(path);
  peer.on('error', () => undefined);
  peer.resume();

  peer.write('GET / HTTP/1.1\r\nHost: sigild\r\n\r\n'.repeat(100));
  await once(peer, 'close');

  await expect(client.listKeys({})).resolves.toBeDefined();
});

describe('a socket that the service manager passes', () => {
  test('of the unix kind is served and never removed', async () => {
    const fd = boundFd(path);

    const address = await rpc.server.listen({ address: { kind: 'fd', fd }, identity });

    expect(address).toBe(`fd:${fd}`);
    await expect(rpc.connect(`unix:${path}`).listKeys({})).resolves.toBeDefined();
    await rpc.server.stopAccepting();
    expect(lstatSync(path).isSocket()).toBe(true);
  });

  test('of the TCP kind is served', async () => {
    const fd = boundFd('127.0.0.1', 0, 4);

    const address = await rpc.server.listen({ address: { kind: 'fd', fd }, identity });

    await expect(rpc.connect(address).listKeys({})).resolves.toBeDefined();
  });

  test('is refused without TLS where other machines can reach it', async () => {
    const fd = boundFd('0.0.0.0', 0, 4);

    const failure = await failureOf(rpc.server.listen({ address: { kind: 'fd', fd }, identity }));

    expect(failure.message).toContain('TLS');
  });

  test('is refused when it is no socket', async () => {
    const failure = await failureOf(
      rpc.server.listen({ address: { kind: 'fd', fd: 99 }, identity }),
    );

    expect(failure.kind).toBe('configuration');
    expect(failure.message).toContain('fd:99');
  });
});

/**
 * A descriptor of a socket that this process's event loop does not know of, as one that comes from
 * another process. Node offers no public way to make one.
 */
function boundFd(...address: [path: string] | [host: string, port: number, family: 4 | 6]): number {
  const { _createServerHandle: bind } = net as unknown as {
    _createServerHandle(...address: unknown[]): { readonly fd: number };
  };
  const { fd } = address.length === 1 ? bind(address[0], -1, -1) : bind(...address);
  return fd;
}
