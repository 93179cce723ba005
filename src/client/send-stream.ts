import type { Writable } from 'node:stream';
import { type Client, type ClientWritableStream, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { UnaryMethod } from './unary-calls.ts';

/** The data of a message, in pieces of any length. A Readable of bytes is one. */
export type DataSource = AsyncIterable<Uint8Array>;

/** What goes over a SignStream or VerifyStream: the header, then pieces. */
type Content<Header> = { readonly header: Header } | { readonly data: Uint8Array };

interface SendOptions {
  readonly deadlineMs?: number | undefined;
  /** Ends the call. */
  readonly signal?: AbortSignal | undefined;
  /** Makes the error for a call that failed. */
  readonly failureOf: (error: ServiceError) => Error;
  /** How long the daemon may take to answer, or to take more, and the error for one that takes longer. */
  readonly stall?: { readonly limitMs: number; readonly failure: () => Error };
}

/** Larger pieces of a source travel in several messages. */
const MAX_PIECE_BYTES = 256 * 1024;

/**
 * Calls an rpc whose client streams. Contents are asked for as they are taken, and no more once the
 * answer is there.
 *
 * @throws what `failureOf` and `stall` make, and what the contents throw
 */
export function sendStream<Message, Response>(
  client: Client,
  method: UnaryMethod<Message, Response>,
  contents: AsyncIterable<Message>,
  { deadlineMs, signal, failureOf, stall }: SendOptions,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const answered = new AbortController();
    const call: ClientWritableStream<Message> = client.makeClientStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      new Metadata(),
      deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
      (error: ServiceError | null, response?: Response) => {
        signal?.removeEventListener('abort', cancel);
        answered.abort();
        wait(false);
        if (error) reject(failureOf(error));
        else resolve(response as Response);
      },
    );
    const cancel = () => call.cancel();
    const fail = (error: unknown) => {
      reject(error);
      cancel();
    };
    let timer: NodeJS.Timeout | undefined;
    const wait = (waits: boolean) => {
      clearTimeout(timer);
      if (waits && stall) timer = setTimeout(() => fail(stall.failure()), stall.limitMs);
    };
    signal?.addEventListener('abort', cancel, { once: true });
    // The answer says what is wrong with the stream.
    call.on('error', () => undefined);
    sendAll(contents, call, answered.signal, wait).catch(fail);
  });
}

/**
 * @param answered aborts when nothing more is to be sent
 * @param wait told whether it waits for the daemon
 */
async function sendAll<Message>(
  contents: AsyncIterable<Message>,
  call: ClientWritableStream<Message>,
  answered: AbortSignal,
  wait: (waits: boolean) => void,
): Promise<void> {
  for await (const content of contents) {
    if (answered.aborted) return;
    if (call.write(content)) continue;
    wait(true);
    await drained(call, answered);
    wait(false);
  }
  call.end();
  wait(!answered.aborted);
}

function drained(call: Writable, answered: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      call.off('drain', go);
      answered.removeEventListener('abort', go);
      resolve();
    };
    call.once('drain', go);
    answered.addEventListener('abort', go, { once: true });
    if (answered.aborted) go();
  });
}

/** A header, and what comes after it. */
export async function* contentOf<Header>(
  header: Header,
  source: DataSource,
): AsyncGenerator<Content<Header>> {
  yield { header };
  for await (const piece of source) {
    // A string would be signed in an encoding of somebody's choice.
    if (!(piece instanceof Uint8Array)) {
      throw new TypeError('the source must yield Uint8Arrays and nothing else');
    }
    for (let start = 0; start < piece.byteLength; start += MAX_PIECE_BYTES) {
      yield { data: piece.subarray(start, start + MAX_PIECE_BYTES) };
    }
  }
}
