import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFrame, FrameReader, numberFrame, timeFrame } from '../../src/token-host/frames.ts';

const HEADER_BYTES = 13;

interface Content {
  readonly call: number;
  readonly code: number;
  readonly workedUs: number;
  readonly payload: Buffer;
}

const content = fc.record({
  call: fc.integer({ min: 0, max: 0xffff_ffff }),
  code: fc.integer({ min: 0, max: 255 }),
  workedUs: fc.integer({ min: 0, max: 0xffff_ffff }),
  payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
});

function encode({ call, code, workedUs, payload }: Content): Buffer {
  const frame = encodeFrame(code, payload.byteLength, (memory) => memory.set(payload));
  numberFrame(frame, call);
  timeFrame(frame, workedUs / 1_000);
  return frame;
}

/** Cuts bytes into pieces of these lengths, over and over. */
function* cut(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  for (let at = 0, piece = 0; at < bytes.byteLength; piece++) {
    const length = lengths[piece % lengths.length] ?? 1;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** Reads chunks out of one piece of memory that each chunk overwrites, as a session lane does. */
function readAll(reader: FrameReader, chunks: Iterable<Buffer>): Content[] {
  const memory = Buffer.alloc(64 * 1024);
  const read: Content[] = [];
  for (const chunk of chunks) {
    chunk.copy(memory);
    for (const frame of reader.push(memory.subarray(0, chunk.byteLength))) {
      read.push({ ...frame, payload: Buffer.from(frame.payload) });
    }
    memory.fill(0xee);
  }
  return read;
}

function withLength(length: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(length, 0);
  return header;
}

describe('a stream of frames', () => {
  test('gives the same frames however it is cut into chunks', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(content, { maxLength: 10 }), lengths, (contents, lengths) => {
        const bytes = Buffer.concat(contents.map(encode));

        expect(readAll(new FrameReader(), cut(bytes, lengths))).toEqual(contents);
      }),
    );
  });

  test('gives a frame with its last byte and not later', () => {
    const reader = new FrameReader();
    const bytes = encode({ call: 1, code: 2, workedUs: 0, payload: Buffer.from('payload') });

    const early = readAll(reader, [bytes.subarray(0, -1)]);
    const late = readAll(reader, [bytes.subarray(-1)]);

    expect(early).toEqual([]);
    expect(late).toEqual([{ call: 1, code: 2, workedUs: 0, payload: Buffer.from('payload') }]);
  });

  test('gives a frame of 4 MiB that comes in small chunks, between two small ones', () => {
    const small = { call: 0, code: 1, workedUs: 0, payload: Buffer.from('small') };
    const large = {
      call: 1,
      code: 2,
      workedUs: 0,
      payload: Buffer.alloc(4 * 1024 * 1024, 'large'),
    };
    const bytes = Buffer.concat([small, large, small].map(encode));

    const read = readAll(new FrameReader(), cut(bytes, [1_000]));

    expect(read.map(({ call }) => call)).toEqual([0, 1, 0]);
    expect(read[1]?.payload.equals(large.payload)).toBe(true);
  });
});

describe('a length that is not possible', () => {
  test.each([0, HEADER_BYTES - 5, 256 * 1024 * 1024 + 1, 0xffff_ffff])(
    '%i is refused',
    (length) => {
      expect(() => readAll(new FrameReader(), [withLength(length)])).toThrow(
        `a frame of ${length} bytes is not possible`,
      );
    },
  );

  test('is refused as soon as its header is there, however that was cut', () => {
    const reader = new FrameReader();
    const header = withLength(0xffff_ffff);

    expect(() => readAll(reader, cut(header, [1]))).toThrow(/not possible/);
  });

  test('does not take away the frames before it', () => {
    const good = { call: 7, code: 1, workedUs: 0, payload: Buffer.from('good') };
    const frames = new FrameReader().push(Buffer.concat([encode(good), withLength(0)]));

    expect(frames.next().value).toEqual(good);
    expect(() => frames.next()).toThrow(/not possible/);
  });

  test.each([HEADER_BYTES - 4, 256 * 1024 * 1024])('is not %i', (length) => {
    expect(() => readAll(new FrameReader(), [withLength(length)])).not.toThrow();
  });
});
