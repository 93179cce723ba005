import { type Cost, ONE_CALL } from './rate-limits.ts';

interface Message {
  readonly data?: Uint8Array;
  readonly digest?: Uint8Array;
}

interface Batch {
  readonly data: readonly Uint8Array[];
}

interface Frame {
  readonly sign?: Batch | null;
  readonly verify?: Batch | null;
}

/** Of a request for one message. */
export function costOfMessage({ data, digest }: Message): Cost {
  return { calls: 1, bytes: data?.byteLength ?? digest?.byteLength ?? 0 };
}

/** Of a request for many; one without any is a call nevertheless. */
export function costOfBatch({ data }: Batch): Cost {
  let bytes = 0;
  for (const item of data) bytes += item.byteLength;
  return { calls: Math.max(1, data.length), bytes };
}

/** Of a Pipeline frame. */
export function costOfFrame({ sign, verify }: Frame): Cost {
  const batch = sign ?? verify;
  return batch ? costOfBatch(batch) : ONE_CALL;
}
