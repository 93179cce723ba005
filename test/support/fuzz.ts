import { readFileSync } from 'node:fs';
import fc from 'fast-check';

/** Multiplies the inputs of every fuzz test; 1 when it is not set. */
const FACTOR = Number(process.env['FUZZ_FACTOR'] ?? 1);

/** How long a test with so many times the usual inputs may take. */
export const FUZZ_TIMEOUT_MS = 60_000 * Math.max(1, FACTOR);

/**
 * The parameters of a property. fast-check prints seed and path of a failure; FUZZ_SEED repeats it.
 *
 * @param count how many inputs, before FUZZ_FACTOR
 */
export function inputs(count: number): { readonly numRuns: number; readonly seed?: number } {
  const seed = process.env['FUZZ_SEED'];
  return {
    numRuns: Math.ceil(count * FACTOR),
    ...(seed !== undefined && { seed: Number(seed) }),
  };
}

/** An input that has been trouble somewhere, or could be. */
export interface CorpusEntry {
  readonly title: string;
  readonly bytes: Buffer;
}

/** @param name of a file in test/fuzz-corpus: titles, and bytes in hexadecimal digits or as a text */
export function corpus(name: string): readonly CorpusEntry[] {
  const file = new URL(`../fuzz-corpus/${name}.json`, import.meta.url);
  const entries = JSON.parse(readFileSync(file, 'utf8')) as readonly {
    readonly title: string;
    readonly hex?: string;
    readonly text?: string;
    readonly times?: number;
  }[];
  return entries.map(({ title, hex, text = '', times = 1 }) => {
    const piece = hex === undefined ? Buffer.from(text) : Buffer.from(hex, 'hex');
    return { title, bytes: Buffer.concat(Array.from({ length: times }, () => piece)) };
  });
}

/** Bytes that are somewhat like these: changed, cut, lengthened, repeated. */
export function mutated(original: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(original, fc.array(edit, { maxLength: 4 }))
    .map(([bytes, edits]) => edits.reduce(edited, Buffer.from(bytes)));
}

/** The same for a text. */
export function mutatedText(original: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return mutated(original.map((text) => Buffer.from(text))).map((bytes) => bytes.toString());
}

interface Edit {
  readonly kind: 'flip' | 'set' | 'number' | 'cut' | 'drop' | 'insert' | 'repeat';
  /** Of the bytes: where. */
  readonly fraction: number;
  readonly value: number;
  readonly bytes: Uint8Array;
}

/** Lengths and counts that programs trip over. */
const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom('flip', 'set', 'number', 'cut', 'drop', 'insert', 'repeat'),
  fraction: fc.double({ min: 0, max: 1, noNaN: true }),
  value: fc.oneof(fc.constantFrom(...NUMBERS), fc.nat()),
  bytes: fc.uint8Array({ maxLength: 12 }),
});

function edited(bytes: Buffer, { kind, fraction, value, bytes: others }: Edit): Buffer {
  const at = Math.floor(fraction * bytes.byteLength);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  const length = 1 + (value % 16);
  const [first = 0] = after;
  switch (kind) {
    case 'flip':
      return Buffer.concat([before, Buffer.from([first ^ (1 << (value % 8))]), after.subarray(1)]);
    case 'set':
      return Buffer.concat([before, others, after.subarray(others.byteLength)]);
    case 'number':
      return Buffer.concat([before, uint32(value), after.subarray(4)]);
    case 'cut':
      return before;
    case 'drop':
      return Buffer.concat([before, after.subarray(length)]);
    case 'insert':
      return Buffer.concat([before, others, after]);
    case 'repeat':
      return Buffer.concat([
        before,
        ...Array.from({ length }, () => after.subarray(0, length)),
        after,
      ]);
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
