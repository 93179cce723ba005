import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SignRequest } from '../../src/generated/sigild/v1/SignRequest.ts';
import { v1 } from '../../src/rpc/proto.ts';

export interface Flood {
  readonly connections: number;
  /** Of each connection; each is begun anew when it is answered. */
  readonly streams: number;
  /** A request that is sent again and again. */
  readonly item: SignRequest;
  /** For the request. */
  readonly folder: string;
  /** Of the daemon: `unix:PATH` or `HOST:PORT`. */
  readonly address: string;
}

/**
 * Asks for Sign until it is killed, from a process of its own, which takes no processor from others
 * that want one.
 */
export function startFlood({ connections, streams, item, folder, address }: Flood): ChildProcess {
  const message = v1.SignRequest.serialize(item);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  const file = join(folder, 'request');
  writeFileSync(file, Buffer.concat([prefix, message]));
  const isUnix = address.startsWith('unix:');
  const options = [
    ...['--clients', String(connections), '--max-concurrent-streams', String(streams)],
    ...['--duration', '600', '--data', file, ...(isUnix ? ['--base-uri', address] : [])],
    ...['--header', 'content-type: application/grpc', '--header', 'te: trailers'],
  ];
  const url = `http://${isUnix ? 'localhost' : address}/sigild.v1.SigningService/Sign`;
  return spawn('nice', ['-n', '19', 'h2load', ...options, url], { stdio: 'ignore' });
}
