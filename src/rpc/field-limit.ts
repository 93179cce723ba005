import { v1 } from './proto.ts';

/** The most fields of a message that are read: more than the largest batch has. */
const MAX_FIELDS = 2_100;

const WIRE_TYPE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** How the fields of a message are written, by number. */
export type Fields = ReadonlyMap<number, FieldKind>;

interface FieldKind {
  readonly wireType: number;
  /** Of one that is a message of sigild itself. */
  readonly fields: Fields | undefined;
}

interface Deserializing {
  readonly requestType: MessageType;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

interface MessageType {
  /** A google.protobuf.DescriptorProto. */
  readonly type: object;
}

interface MessageDescriptor {
  readonly field: readonly {
    readonly number: number;
    readonly type: string;
    readonly label: string;
    readonly typeName: string;
  }[];
}

/**
 * The definitions of the services, with what protobuf does not look at before it decodes a request.
 *
 * 1. A limit on a batch's items: an empty one has two bytes on the wire and two hundred as an object,
 *    and five megabytes of them would take half a gigabyte and hold this process up for seconds. So a
 *    message ends after more fields than a batch may have, and what is left of it is refused for its
 *    number of items.
 * 2. Each field has to be written as its type is: protobuf.js 7 reads it by its number alone, and takes
 *    a number 0 where the data belong for the empty message, and the content of an unknown text for
 *    fields.
 */
export const signingServiceDefinition = checked(v1.SigningService.service);
export const keyServiceDefinition = checked(v1.KeyService.service);

function checked<Service extends object>(service: Service): Service {
  const methods = Object.entries(service as Readonly<Record<string, Deserializing>>);
  return Object.fromEntries(methods.map(([name, method]) => [name, limited(method)])) as Service;
}

function limited(method: Deserializing): Deserializing {
  const fields = fieldsOf(method.requestType);
  const requestDeserialize = (bytes: Buffer) =>
    method.requestDeserialize(limitFields(bytes, fields));
  return { ...method, requestDeserialize };
}

/**
 * @returns the message, or its beginning
 * @throws {Error} for a field with the wire type of another one, or of none that proto3 has
 */
export function limitFields(message: Buffer, fields: Fields): Buffer {
  return firstFields(message, fields, { left: MAX_FIELDS });
}

function firstFields(message: Buffer, fields: Fields, count: { left: number }): Buffer {
  for (let start = 0; start < message.byteLength; ) {
    if (count.left === 0) return message.subarray(0, start);
    count.left -= 1;
    const field = readField(message, start);
    const ownFields = ownFieldsOf(field, fields);
    if (ownFields) {
      const content = message.subarray(field.contentStart, field.end);
      const first = firstFields(content, ownFields, count);
      if (first.byteLength < content.byteLength) {
        return Buffer.concat([message.subarray(0, start), bytesField(field.number, first)]);
      }
    }
    start = field.end;
  }
  return message;
}

/** @throws {Error} when it is not written as a field of that number is */
function ownFieldsOf({ number, wireType }: Field, fields: Fields): Fields | undefined {
  const kind = fields.get(number);
  if (!kind || kind.wireType === wireType) return kind?.fields;
  throw new Error(`field ${number} has the wire type ${wireType}`);
}

interface Field {
  readonly number: number;
  readonly wireType: number;
  readonly contentStart: number;
  /** Beyond the message's end when the message is cut off; protobuf refuses it then. */
  readonly end: number;
}

/** @throws {Error} for what has no place in a message of proto3 */
function readField(message: Buffer, start: number): Field {
  const tag = readVarint(message, start);
  const wireType = tag.value & 7;
  const length = wireType === WIRE_TYPE.bytes ? readVarint(message, tag.end) : undefined;
  return {
    number: tag.value >>> 3,
    wireType,
    contentStart: length ? length.end : tag.end,
    end: length ? length.end + length.value : endOfNumber(message, tag.end, wireType),
  };
}

function endOfNumber(message: Buffer, start: number, wireType: number): number {
  switch (wireType) {
    case WIRE_TYPE.varint:
      return readVarint(message, start).end;
    case WIRE_TYPE.fixed64:
      return start + 8;
    case WIRE_TYPE.fixed32:
      return start + 4;
    default:
      throw new Error(`proto3 has no field with the wire type ${wireType}`);
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

/** How the fields of a message are written that its proto file has. */
export function fieldsOf({ type }: MessageType): Fields {
  return new Map(
    (type as MessageDescriptor).field
      // Lists of numbers are written in either of two ways.
      .filter(({ label, type: fieldType }) => {
        return label !== 'LABEL_REPEATED' || wireTypeOf(fieldType) === WIRE_TYPE.bytes;
      })
      .map(({ number, type: fieldType, typeName }) => [
        number,
        { wireType: wireTypeOf(fieldType), fields: messageFields(fieldType, typeName) },
      ]),
  );
}

function messageFields(fieldType: string, typeName: string): Fields | undefined {
  if (fieldType !== 'TYPE_MESSAGE') return undefined;
  const messages = v1 as unknown as Readonly<Record<string, MessageType>>;
  const message = messages[typeName.replace(/^.*\./, '')];
  return message && fieldsOf(message);
}

function wireTypeOf(fieldType: string): number {
  if (/^TYPE_(BYTES|MESSAGE|STRING)$/.test(fieldType)) return WIRE_TYPE.bytes;
  if (/^TYPE_(DOUBLE|S?FIXED64)$/.test(fieldType)) return WIRE_TYPE.fixed64;
  return /^TYPE_(FLOAT|S?FIXED32)$/.test(fieldType) ? WIRE_TYPE.fixed32 : WIRE_TYPE.varint;
}
