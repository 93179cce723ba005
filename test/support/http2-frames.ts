/**
 * HTTP/2 as bytes, for what Node's client does not do: it ends a stream before it resets it.
 */

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4 } as const;

const END_HEADERS = 4;
const CANCEL = 8;
const MAX_FRAME_BYTES = 16_384;

/**
 * What opens a connection and, as its first stream, a gRPC request that goes on.
 *
 * @param body less than 65,536 bytes, which need no leave of the server
 */
export function requestFrames(path: string, body: Buffer): Buffer {
  const headers = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
    frame(FRAME.headers, END_HEADERS, 1, Buffer.concat(Object.entries(headers).map(literal))),
    ...chunksOf(body).map((chunk) => frame(FRAME.data, 0, 1, chunk)),
  ]);
}

function chunksOf(body: Buffer): Buffer[] {
  const count = Math.ceil(body.byteLength / MAX_FRAME_BYTES);
  return Array.from({ length: count }, (_, index) =>
    body.subarray(index * MAX_FRAME_BYTES, (index + 1) * MAX_FRAME_BYTES),
  );
}

/** Resets that stream. */
export function resetFrame(): Buffer {
  const code = Buffer.alloc(4);
  code.writeUInt32BE(CANCEL);
  return frame(FRAME.reset, 0, 1, code);
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header as HPACK has it without its tables and codes; each text is shorter than 127 bytes. */
function literal([name, value]: readonly [string, string]): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}
