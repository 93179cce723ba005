import { v1 } from './proto.ts';

/** The most fields of a message that are read: more than the largest batch has. */
const MAX_FIELDS = 2_100;
const LEAST_FIELD_BYTES = 2;

const WIRE_TYPE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** The fields of a PipelineRequest that are messages themselves: sign and verify. */
const OPERATION_FIELDS: ReadonlySet<number> = new Set([2, 3]);
const NO_FIELDS: ReadonlySet<number> = new Set();

interface Deserializing {
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

const { service } = v1.SigningService;

/**
 * The definition of SigningService, with a limit on a batch's items that comes before protobuf.
 *
 * An empty item has two bytes on the wire and two hundred as an object: five megabytes of them would
 * take half a gigabyte and hold this process up for seconds. So a message ends after more fields than
 * a batch may have, and what is left of it is refused for its number of items.
 */
export const signingServiceDefinition: typeof service = {
  ...service,
  BatchSign: limited(service.BatchSign, NO_FIELDS),
  BatchVerify: limited(service.BatchVerify, NO_FIELDS),
  Pipeline: limited(service.Pipeline, OPERATION_FIELDS),
};

function limited<Method extends Deserializing>(
  method: Method,
  messageFields: ReadonlySet<number>,
): Method {
  const requestDeserialize = (bytes: Buffer) =>
    method.requestDeserialize(limitFields(bytes, messageFields));
  return { ...method, requestDeserialize };
}

/**
 * @param messageFields the numbers of fields whose own fields count too
 * @returns the message, or its beginning
 */
export function limitFields(message: Buffer, messageFields: ReadonlySet<number>): Buffer {
  if (message.byteLength <= MAX_FIELDS * LEAST_FIELD_BYTES) return message;
  return firstFields(message, messageFields, { left: MAX_FIELDS });
}

function firstFields(
  message: Buffer,
  messageFields: ReadonlySet<number>,
  fields: { left: number },
): Buffer {
  for (let start = 0; start < message.byteLength; ) {
    const field = readField(message, start);
    if (!field || fields.left === 0) return message.subarray(0, start);
    fields.left -= 1;
    if (messageFields.has(field.number)) {
      const content = message.subarray(field.contentStart, field.end);
      const first = firstFields(content, NO_FIELDS, fields);
      if (first.byteLength < content.byteLength) {
        return Buffer.concat([message.subarray(0, start), bytesField(field.number, first)]);
      }
    }
    start = field.end;
  }
  return message;
}

interface Field {
  readonly number: number;
  readonly contentStart: number;
  /** Beyond the message's end when the message is cut off; protobuf refuses it then. */
  readonly end: number;
}

/** @returns undefined for what has no place in a message of proto3 */
function readField(message: Buffer, start: number): Field | undefined {
  const tag = readVarint(message, start);
  const number = tag.value >>> 3;
  switch (tag.value & 7) {
    case WIRE_TYPE.varint:
      return { number, contentStart: tag.end, end: readVarint(message, tag.end).end };
    case WIRE_TYPE.fixed64:
      return { number, contentStart: tag.end, end: tag.end + 8 };
    case WIRE_TYPE.bytes: {
      const length = readVarint(message, tag.end);
      return { number, contentStart: length.end, end: length.end + length.value };
    }
    case WIRE_TYPE.fixed32:
      return { number, contentStart: tag.end, end: tag.end + 4 };
    default:
      return undefined;
  }
}

/** @returns the low 32 bits */
function readVarint(message: Buffer, start: number): { value: number; end: number } {
  let value = 0;
  let at = start;
  for (let shift = 0; at < message.byteLength; shift += 7) {
    const byte = message[at] ?? 0;
    at += 1;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return { value: value >>> 0, end: at };
}

function bytesField(number: number, content: Buffer): Buffer {
  const head = [(number << 3) | WIRE_TYPE.bytes];
  let length = content.byteLength;
  for (; length >= 0x80; length >>>= 7) head.push((length & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, length]), content]);
}
