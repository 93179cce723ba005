import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2';

const { HTTP2_HEADER_CONTENT_TYPE, HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH } = constants;

/** Sends a gRPC request without a gRPC library, for what no library would do. */
export function sendRequest(
  session: ClientHttp2Session,
  path: string,
  message: Buffer,
  headers: Record<string, string> = {},
): ClientHttp2Stream {
  const stream = session.request({
    [HTTP2_HEADER_METHOD]: 'POST',
    [HTTP2_HEADER_PATH]: path,
    [HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  stream.on('error', () => undefined);
  stream.end(Buffer.concat([prefix, message]));
  return stream;
}

/** @returns the gRPC status of the answer; undefined when the stream ends without one */
export function statusOf(stream: ClientHttp2Stream): Promise<number | undefined> {
  return new Promise((resolve) => {
    let status: number | undefined;
    const read = (headers: Record<string, unknown>) => {
      if (headers['grpc-status'] !== undefined) status = Number(headers['grpc-status']);
    };
    stream.on('response', read).on('trailers', read);
    stream.on('close', () => resolve(status));
    stream.resume();
  });
}
