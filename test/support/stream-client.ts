import { type ClientWritableStream, credentials, type ServiceError } from '@grpc/grpc-js';
import type { SignStreamHeader } from '../../src/generated/sigild/v1/SignStreamHeader.ts';
import type { SignStreamResponse__Output } from '../../src/generated/sigild/v1/SignStreamResponse.ts';
import type { VerifyStreamHeader } from '../../src/generated/sigild/v1/VerifyStreamHeader.ts';
import type { VerifyStreamResponse__Output } from '../../src/generated/sigild/v1/VerifyStreamResponse.ts';
import { v1 } from '../../src/rpc/proto.ts';

/** What a message of a stream holds; nothing at all is possible, too. */
interface Content<Header> {
  readonly header?: Header;
  readonly data?: Uint8Array;
}

/** A stream of the raw API, which sends whatever a test says. */
export interface OpenStream<Header, Answer> {
  readonly answer: Promise<Answer>;
  send(...contents: readonly Content<Header>[]): void;
  /** Sends everything, as slowly as the daemon takes it. */
  sendAll(contents: AsyncIterable<Content<Header>> | Iterable<Content<Header>>): Promise<void>;
  end(): void;
  cancel(): void;
}

export interface StreamClient {
  signStream(deadlineMs?: number): OpenStream<SignStreamHeader, SignStreamResponse__Output>;
  verifyStream(deadlineMs?: number): OpenStream<VerifyStreamHeader, VerifyStreamResponse__Output>;
  /** Signs a message; rejects with a ServiceError. */
  sign(header: SignStreamHeader, ...pieces: Uint8Array[]): Promise<SignStreamResponse__Output>;
  verify(
    header: VerifyStreamHeader,
    ...pieces: Uint8Array[]
  ): Promise<VerifyStreamResponse__Output>;
  close(): void;
}

export function connectStreamClient(address: string): StreamClient {
  const client = new v1.SigningService(address, credentials.createInsecure());
  const options = (deadlineMs?: number) =>
    deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
  const signStream: StreamClient['signStream'] = (deadlineMs) =>
    openStream((done) => client.signStream(options(deadlineMs), done));
  const verifyStream: StreamClient['verifyStream'] = (deadlineMs) =>
    openStream((done) => client.verifyStream(options(deadlineMs), done));
  return {
    signStream,
    verifyStream,
    sign: (header, ...pieces) => whole(signStream(), header, pieces),
    verify: (header, ...pieces) => whole(verifyStream(), header, pieces),
    close: () => client.close(),
  };
}

function whole<Header, Answer>(
  stream: OpenStream<Header, Answer>,
  header: Header,
  pieces: readonly Uint8Array[],
): Promise<Answer> {
  stream.send({ header }, ...pieces.map((data) => ({ data })));
  stream.end();
  return stream.answer;
}

type Done<Answer> = (error: ServiceError | null, answer?: Answer) => void;

function openStream<Header, Answer>(
  open: (done: Done<Answer>) => ClientWritableStream<object>,
): OpenStream<Header, Answer> {
  let stream: ClientWritableStream<object> | undefined;
  let isAnswered = false;
  const answer = new Promise<Answer>((resolve, reject) => {
    stream = open((error, value) => {
      isAnswered = true;
      stream?.emit('drain');
      if (error) reject(error);
      else resolve(value as Answer);
    });
  });
  // A test that is not interested need not wait for it.
  answer.catch(() => undefined);
  const drained = () => new Promise((resolve) => stream?.once('drain', resolve));
  return {
    answer,
    send: (...contents) => {
      for (const content of contents) stream?.write(content);
    },
    sendAll: async (contents) => {
      for await (const content of contents) {
        if (isAnswered) return;
        if (!stream?.write(content)) await drained();
      }
      stream?.end();
    },
    end: () => void stream?.end(),
    cancel: () => stream?.cancel(),
  };
}
