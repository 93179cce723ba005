import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { v1 } from '../../src/rpc/proto.ts';
import { corpus, mutated } from './fuzz.ts';

/**
 * What a connection of a client is sent that is no client of gRPC, or one that has lost its mind. Some
 * of it is right up to its last layer, some in no byte.
 */

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

const TYPE = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, windowUpdate: 8 } as const;
const CONTINUATION = 9;
const END_STREAM = 1;
const END_HEADERS = 4;

/** Its answer shows that the connection is alive, and that all before it has been read. */
export const LAST_PING = Buffer.from('the end!');

export function lastPing(): Buffer {
  return frame(TYPE.ping, 0, 0, LAST_PING);
}

/** @param length what its head says of the payload, where that is not so */
function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array,
  length = payload.byteLength,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length & 0xff_ffff, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([head, payload]);
}

type Header = readonly [name: string, value: string];

/** Literals of HPACK, without its tables and its Huffman code. */
function headerBlock(headers: readonly Header[]): Buffer {
  return Buffer.concat(
    headers.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]),
  );
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([length(bytes.byteLength), bytes]);
}

/** An integer of HPACK with a prefix of seven bits. */
function length(value: number): Buffer {
  if (value < 0x7f) return Buffer.from([value]);
  const bytes = [0x7f];
  let rest = value - 0x7f;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

const METHODS = [v1.SigningService.service, v1.KeyService.service].flatMap((service) =>
  Object.values(service).map(({ path }) => path),
);

const path = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(...METHODS) },
  fc.constantFrom('', '/', '//', '*', 'sigild.v1.SigningService/Sign', '/sigild.v1.None/Sign'),
  fc.constantFrom(
    '/sigild.v1.SigningService/%zz',
    '/sigild.v1.SigningService/sign',
    `/${'a'.repeat(9_000)}`,
  ),
  fc.constantFrom(
    '/grpc.health.v1.Health/Check',
    '/grpc.health.v1.Health/Watch',
    '/__proto__/toString',
  ),
);

const timeout = fc.oneof(
  fc.constantFrom(
    '1S',
    '10m',
    '1n',
    '0S',
    '-1S',
    '99999999H',
    '999999999S',
    'S',
    '1',
    '1 S',
    '1.5S',
  ),
  fc.string({ maxLength: 12 }),
);

/** Headers of a request, of which some are left out, spoilt, given twice or in a wrong order. */
const headers: fc.Arbitrary<readonly Header[]> = fc
  .record({
    path,
    contentType: fc.constantFrom(
      ...['application/grpc', 'application/grpc', 'application/grpc', 'application/grpc+proto'],
      ...['application/grpc-web', 'application/json', 'text/html; charset=', ''],
    ),
    te: fc.constantFrom('trailers', 'trailers', 'trailers', 'gzip', ''),
    timeout: fc.option(timeout, { freq: 3 }),
    encoding: fc.option(fc.constantFrom('gzip', 'deflate', 'identity', 'br', '', '\xff')),
    method: fc.constantFrom('POST', 'POST', 'POST', 'POST', 'GET', 'OPTIONS', 'CONNECT', 'p'),
    extra: fc.array(
      fc.constantFrom<Header>(
        ...([
          ['x-bin', '!not base64!'],
          ['x-trace-bin', 'AAAA,AAAA'],
          ['Upper-Case', 'x'],
          ['bad name', 'x'],
          ['x', 'line\r\nbreak'],
          ['x', '\0'],
          ['connection', 'close'],
          ['transfer-encoding', 'chunked'],
          ['content-length', '3'],
          ['content-length', '-1'],
          [':status', '200'],
          [':path', '/twice'],
          ['grpc-timeout', '1S'],
          ['grpc-message', '%f'],
          ['grpc-status', '0'],
          ['grpc-previous-rpc-attempts', '-1'],
          ['x-long', 'l'.repeat(5_000)],
          ['', 'nameless'],
          ['__proto__', 'x'],
          ['expect', '100-continue'],
          ['upgrade', 'h2c'],
        ] as const),
      ),
      { maxLength: 3 },
    ),
    left: fc.nat({ max: 12 }),
    turned: fc.nat({ max: 9 }),
  })
  .map(({ path, contentType, te, timeout, encoding, method, extra, left, turned }) => {
    const all: Header[] = [
      [':method', method],
      [':scheme', 'http'],
      [':path', path],
      [':authority', 'localhost'],
      ['content-type', contentType],
      ['te', te],
      ...(timeout === null ? [] : [['grpc-timeout', timeout] as const]),
      ...(encoding === null ? [] : [['grpc-encoding', encoding] as const]),
      ...extra,
    ];
    // One of many is left out, or they are in another order.
    const kept = all.filter((_, index) => index !== left);
    return turned === 0 ? kept.reverse() : kept;
  });

const message = mutated(
  fc.constantFrom(
    ...corpus('requests')
      .map(({ bytes }) => bytes)
      .filter(({ byteLength }) => byteLength < 4_096),
    v1.SignRequest.serialize({ key: 'adopted-polite', data: Buffer.from('data') }),
    v1.PipelineRequest.serialize({
      ...{ correlationId: 1, sign: { key: 'adopted-polite', data: [Buffer.from('data')] } },
    }),
    v1.SignStreamRequest.serialize({ header: { key: 'adopted-polite' } }),
    v1.SignStreamRequest.serialize({ data: Buffer.from('data') }),
    v1.ListKeysRequest.serialize({ pageSize: 1 }),
    gzipSync(Buffer.alloc(100_000)),
    deflateSync(Buffer.from('data')),
  ),
);

/** Messages behind the prefix of gRPC, which may say something else of them. */
const body = fc
  .array(
    fc.record({
      message,
      compressed: fc.constantFrom(0, 0, 0, 0, 1, 2, 255),
      length: fc.option(fc.constantFrom(0, 1, 0x7fff_ffff, 0xffff_ffff, 9_000_000), { freq: 5 }),
    }),
    { maxLength: 4 },
  )
  .map((messages) =>
    Buffer.concat(
      messages.flatMap(({ message, compressed, length }) => {
        const prefix = Buffer.alloc(5, compressed);
        prefix.writeUInt32BE(length ?? message.byteLength, 1);
        return [prefix, message];
      }),
    ),
  );

/** One call on a stream: its headers, its data in frames, and one of the ways in which it ends. */
const call = fc
  .record({
    headers,
    body,
    stream: fc.constantFrom(1, 1, 1, 3, 5, 7, 2, 0, 0x7fff_ffff),
    flags: fc.constantFrom(
      END_HEADERS,
      END_HEADERS,
      END_HEADERS,
      END_HEADERS | END_STREAM,
      0,
      0xff,
    ),
    piece: fc.constantFrom(1, 7, 5_000, 16_384),
    end: fc.constantFrom('end', 'end', 'end', 'reset', 'open', 'data after the end', 'trailers'),
  })
  .map(({ headers, body, stream, flags, piece, end }) => {
    const pieces = Array.from(
      { length: Math.min(64, Math.ceil(body.byteLength / piece)) },
      (_, index) => frame(TYPE.data, 0, stream, body.subarray(index * piece, (index + 1) * piece)),
    );
    return Buffer.concat([
      frame(TYPE.headers, flags, stream, headerBlock(headers)),
      ...pieces,
      ...endOf(end, stream),
    ]);
  });

function endOf(end: string, stream: number): readonly Buffer[] {
  const last = frame(TYPE.data, END_STREAM, stream, Buffer.alloc(0));
  switch (end) {
    case 'end':
      return [last];
    case 'reset':
      return [frame(TYPE.reset, 0, stream, Buffer.from([0, 0, 0, 8]))];
    case 'data after the end':
      return [last, frame(TYPE.data, 0, stream, Buffer.from('more')), last];
    case 'trailers':
      return [frame(TYPE.headers, END_HEADERS | END_STREAM, stream, headerBlock([['x', 'y']]))];
    default:
      return [];
  }
}

/** A frame of any kind, with a payload that some kind has. */
const anyFrame = fc
  .record({
    type: fc.nat({ max: 12 }),
    flags: fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 0x20, 0x2d), fc.nat({ max: 255 })),
    stream: fc.constantFrom(0, 0, 1, 1, 2, 3, 5, 0x7fff_ffff, 0x8000_0001),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(4, 5, 6, 7, 8, 9, 12).map((bytes) => Buffer.alloc(bytes)),
      fc.constantFrom(...['00000000', '7fffffff', 'ffffffff', '00000008'].map(fromHex)),
      // Settings: no window, a window that is too large, tiny and huge frames, a table, many streams.
      fc.constantFrom(
        ...[
          '000400000000',
          '0004ffffffff',
          '000500000001',
          '0005ffffffff',
          '0001ffffffff',
          '000300000000',
        ].map(fromHex),
      ),
      // HPACK: an index that there is not, a table larger than allowed, an integer and a text without end.
      fc.constantFrom(
        ...['ff80ffffff0f', '3fffffffff0f', '7fffffffffffffff', '00ff', 'be', '80'].map(fromHex),
      ),
      headers.map(headerBlock),
    ),
    length: fc.option(fc.constantFrom(0, 1, 16_384, 16_385, 0xff_ffff), { freq: 6 }),
  })
  .map(({ type, flags, stream, payload, length }) =>
    frame(type, flags, stream, payload, length ?? payload.byteLength),
  );

function fromHex(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}

/** Much of the same. */
const flood = fc
  .record({
    kind: fc.constantFrom('reset', 'window', 'ping', 'settings', 'data', 'continuation', 'headers'),
    times: fc.integer({ min: 20, max: 400 }),
  })
  .map(({ kind, times }) =>
    Buffer.concat(Array.from({ length: times }, (_, index) => floodFrame(kind, 2 * index + 1))),
  );

const REQUEST = headerBlock([
  ...([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', '/sigild.v1.SigningService/Sign'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ] as const),
]);

function floodFrame(kind: string, stream: number): Buffer {
  const open = frame(TYPE.headers, END_HEADERS, stream, REQUEST);
  switch (kind) {
    case 'reset':
      return Buffer.concat([open, frame(TYPE.reset, 0, stream, fromHex('00000008'))]);
    case 'window':
      return frame(TYPE.windowUpdate, 0, 0, fromHex('00000001'));
    case 'ping':
      return frame(TYPE.ping, 0, 0, Buffer.alloc(8));
    case 'settings':
      return frame(TYPE.settings, 0, 0, fromHex('000400001000'));
    case 'data':
      return stream === 1 ? open : frame(TYPE.data, 0, 1, Buffer.alloc(0));
    case 'continuation':
      return stream === 1
        ? frame(TYPE.headers, 0, 1, REQUEST)
        : frame(CONTINUATION, 0, 1, headerBlock([['x', 'y']]));
    default:
      return open;
  }
}

const SETTINGS = frame(TYPE.settings, 0, 0, Buffer.alloc(0));

const opened = (rest: fc.Arbitrary<Buffer>) =>
  rest.map((bytes) => Buffer.concat([PREFACE, SETTINGS, bytes]));

/** All that a client sends on one connection. */
export const connectionGarbage: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 8, arbitrary: opened(call) },
  {
    weight: 4,
    arbitrary: opened(fc.array(call, { maxLength: 4 }).map((calls) => Buffer.concat(calls))),
  },
  {
    weight: 4,
    arbitrary: opened(fc.array(anyFrame, { maxLength: 8 }).map((frames) => Buffer.concat(frames))),
  },
  { weight: 4, arbitrary: mutated(opened(call)) },
  { weight: 1, arbitrary: opened(flood) },
  {
    weight: 1,
    arbitrary: mutated(
      fc.constantFrom(
        PREFACE,
        Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
        Buffer.from('POST /sigild.v1.SigningService/Sign HTTP/1.1\r\nUpgrade: h2c\r\n\r\n'),
        fromHex('16030100c6010000c20303'),
        Buffer.alloc(64),
      ),
    ),
  },
);
