import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { percentile } from './statistics.ts';

export interface Load {
  /** HOST:PORT without TLS. */
  readonly address: string;
  /** The path of the rpc, such as `/package.Service/Method`. */
  readonly path: string;
  /** One message, as it travels. */
  readonly request: Uint8Array;
  /** How long every answer is as it travels. */
  readonly answerBytes: number;
  /** Where this may put files of its own. */
  readonly folder: string;
}

export interface H2loadResult {
  readonly requestsPerSecond: number;
  readonly succeeded: number;
  /** Of DATA frames alone. */
  readonly dataBytes: number;
}

export interface LoadSample {
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const CONNECTIONS = 4;
const STREAMS_PER_CONNECTION = 16;

/** In front of every message: whether it is compressed, and its length in 4 bytes. */
const PREFIX_BYTES = 5;

const US_PER_MS = 1_000;

const run = promisify(execFile);

/**
 * Has h2load make calls, 64 at a time, and proves that each was answered.
 *
 * @throws {Error} when one was not, or after `limitMs`
 */
export async function makeCalls(
  load: Load,
  calls: number,
  limitMs: number,
  signal: AbortSignal,
): Promise<LoadSample> {
  const requestFile = join(load.folder, 'request');
  const logFile = join(load.folder, 'h2load.log');
  writeFileSync(requestFile, messageFrame(load.request));
  // It appends to a log that is there.
  rmSync(logFile, { force: true });
  const { stdout } = await run(
    'h2load',
    [
      ...['--clients', String(CONNECTIONS)],
      ...['--max-concurrent-streams', String(STREAMS_PER_CONNECTION)],
      ...['--requests', String(calls)],
      ...['--data', requestFile],
      ...['--log-file', logFile],
      ...['--header', 'content-type: application/grpc'],
      ...['--header', 'te: trailers'],
      `http://${load.address}${load.path}`,
    ],
    { signal, timeout: limitMs, killSignal: 'SIGKILL' },
  );
  const result = parseH2load(stdout);
  assertAllAnswered(result, calls, load.answerBytes);
  const durationsUs = parseDurations(readFileSync(logFile, 'latin1')).sort();
  return {
    opsPerSecond: result.requestsPerSecond,
    p50Ms: percentile(durationsUs, 0.5) / US_PER_MS,
    p99Ms: percentile(durationsUs, 0.99) / US_PER_MS,
  };
}

/** @throws {Error} when the text is not what h2load 1.5x prints */
export function parseH2load(output: string): H2loadResult {
  return {
    requestsPerSecond: figure(output, /^finished in \S+, (\S+) req\/s/m),
    succeeded: figure(output, /^requests: .* (\d+) succeeded,/m),
    dataBytes: figure(output, /^traffic: .* \((\d+)\) data$/m),
  };
}

/** @returns the time from each request to the end of its answer, in microseconds */
export function parseDurations(log: string): Float64Array {
  const lines = log.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return Float64Array.from(lines, (line) => Number(line.slice(line.lastIndexOf('\t') + 1)));
}

/**
 * h2load takes a call that failed for one that succeeded, as its HTTP status is 200 all the same.
 * But a failed call is answered by trailers alone: only when no call failed do the DATA frames hold
 * one answer for each.
 *
 * @throws {Error} when a call was not answered
 */
export function assertAllAnswered(result: H2loadResult, calls: number, answerBytes: number): void {
  const wanted = calls * (PREFIX_BYTES + answerBytes);
  if (result.succeeded === calls && result.dataBytes === wanted) return;
  throw new Error(
    `of ${calls} calls ${result.succeeded} were answered, with ${result.dataBytes} bytes of ` +
      `messages instead of ${wanted}`,
  );
}

function messageFrame(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(PREFIX_BYTES + message.byteLength);
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

function figure(output: string, pattern: RegExp): number {
  const text = pattern.exec(output)?.[1];
  const value = Number(text);
  if (text !== undefined && Number.isFinite(value)) return value;
  throw new Error(`h2load printed nothing like ${pattern}:\n${output}`);
}
