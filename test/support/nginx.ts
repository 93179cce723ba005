import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './wait.ts';

const EXAMPLE = join(import.meta.dirname, '../../systemd/nginx.example.conf');
const PROGRAMS = ['/usr/sbin/nginx', '/usr/bin/nginx'];

/** nginx as the example configuration has it, in front of two daemons. */
export interface Nginx {
  /** `unix:PATH`, for clients. */
  readonly address: string;
  stop(): Promise<void>;
}

/**
 * Starts nginx and waits until it listens.
 *
 * @param folder for its files, the socket included
 * @param daemons paths of the daemons' sockets
 */
export async function startNginx(
  folder: string,
  [first, second]: readonly [string, string],
): Promise<Nginx> {
  const socket = join(folder, 'nginx.sock');
  const site = readFileSync(EXAMPLE, 'utf8')
    .replace('/run/sigild-a/sigild.sock', first)
    .replace('/run/sigild-b/sigild.sock', second)
    .replace('/run/nginx/sigild.sock', socket);
  mkdirSync(join(folder, 'nginx'));
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, configuration(site));
  const program = PROGRAMS.find((path) => existsSync(path)) ?? 'nginx';
  const child = spawn(program, ['-p', join(folder, 'nginx'), '-c', file, '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(child, 'close');
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  await until(() => {
    if (child.exitCode !== null) throw new Error(`nginx has ended: ${stderr}`);
    return existsSync(socket);
  });
  return {
    address: `unix:${socket}`,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** One process, which the test's user owns and whose files are all in its folder. */
function configuration(site: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (part) => `  ${part}_temp_path ${part};`,
  );
  return [
    'daemon off;',
    'master_process off;',
    'pid nginx.pid;',
    'events { worker_connections 256; }',
    'http {',
    '  access_log off;',
    ...temporary,
    site,
    '}',
    '',
  ].join('\n');
}
