/**
 * HTTP/2 as bytes, for what Node's client does not do: it ends a stream before it resets it.
 */

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, continuation: 9 } as const;

const END_HEADERS = 4;
const CANCEL = 8;
const MAX_FRAME_BYTES = 16_384;

const SIGN = '/sigild.v1.SigningService/Sign';

/** What opens a connection. */
export const OPENING = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
]);

/**
 * What opens a connection and, as its first stream, a gRPC request that goes on.
 *
 * @param body less than 65,536 bytes, which need no leave of the server
 */
export function requestFrames(path: string, body: Buffer): Buffer {
  return Buffer.concat([
    OPENING,
    headersFrame(1, path),
    ...chunksOf(body).map((chunk) => frame(FRAME.data, 0, 1, chunk)),
  ]);
}

/** The header of a gRPC request. @param flags END_HEADERS unless more headers follow */
function headersFrame(stream: number, path: string, flags: number = END_HEADERS): Buffer {
  const headers = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  return frame(FRAME.headers, flags, stream, Buffer.concat(Object.entries(headers).map(literal)));
}

/** What a hostile peer sends over and over, as many times as it is told. */
export const FLOODS = {
  pings: (count: number) => many(count, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
  settings: (count: number) => many(count, () => frame(FRAME.settings, 0, 0, Buffer.alloc(0))),
  continuations: (count: number) =>
    Buffer.concat([
      headersFrame(1, SIGN, 0),
      many(count, () => frame(FRAME.continuation, 0, 1, literal(['x', 'y'.repeat(100)]))),
    ]),
  /** Each with more than 100 KiB of them. */
  metadata: (count: number) =>
    many(count, (index) =>
      Buffer.concat([
        headersFrame(2 * index + 1, SIGN, 0),
        many(7, () => frame(FRAME.continuation, 0, 2 * index + 1, metadata())),
        frame(FRAME.continuation, END_HEADERS, 2 * index + 1, metadata()),
      ]),
    ),
  /** Whose message never comes. */
  requests: (count: number) => many(count, (index) => headersFrame(2 * index + 1, SIGN)),
  resets: (count: number) =>
    many(count, (index) =>
      Buffer.concat([headersFrame(2 * index + 1, SIGN), resetFrame(2 * index + 1)]),
    ),
} as const;

function metadata(): Buffer {
  return many(110, () => literal(['x', 'y'.repeat(120)]));
}

function many(count: number, make: (index: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
}

function chunksOf(body: Buffer): Buffer[] {
  const count = Math.ceil(body.byteLength / MAX_FRAME_BYTES);
  return Array.from({ length: count }, (_, index) =>
    body.subarray(index * MAX_FRAME_BYTES, (index + 1) * MAX_FRAME_BYTES),
  );
}

/** Resets a stream. */
export function resetFrame(stream = 1): Buffer {
  const code = Buffer.alloc(4);
  code.writeUInt32BE(CANCEL);
  return frame(FRAME.reset, 0, stream, code);
}

/** The types of the frames that are whole. */
export function frameTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.byteLength; at += 9 + bytes.readUIntBE(at, 3)) {
    types.push(bytes.readUInt8(at + 3));
  }
  return types;
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
