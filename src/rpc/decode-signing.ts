import { fieldInvalid, SigildError } from '../domain/errors.ts';
import type { BatchSignRequest__Output } from '../generated/sigild/v1/BatchSignRequest.ts';
import type { BatchVerifyRequest__Output } from '../generated/sigild/v1/BatchVerifyRequest.ts';
import type { SignRequest__Output } from '../generated/sigild/v1/SignRequest.ts';
import type { VerifyRequest__Output } from '../generated/sigild/v1/VerifyRequest.ts';
import type { SignBatch, VerifyBatch } from '../service/signing-service.ts';
import { decodeKeyName, decodeVersion, missing, required } from './decode-fields.ts';
import { decodeForm } from './decode-form.ts';

const MAX_BATCH_ITEMS = 1_024;
/** Of the data of one batch together. */
export const MAX_BATCH_BYTES = 4 * 1024 * 1024;

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING */
export function decodeSignRequest(request: SignRequest__Output): SignBatch {
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: [decodeMessage(request)],
    ...decodeForm(request),
  };
}

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING, SIGNATURE_MISSING */
export function decodeVerifyRequest(request: VerifyRequest__Output): VerifyBatch {
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: [
      {
        data: decodeMessage(request),
        mac: required('SIGNATURE_MISSING', 'signature', request.signature),
      },
    ],
    ...decodeForm(request),
  };
}

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING, DATA_TOO_LARGE */
export function decodeBatchSignRequest(request: BatchSignRequest__Output): SignBatch {
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: decodeBatch(request.data),
  };
}

/** @throws {SigildError} FIELD_INVALID, DATA_MISSING, DATA_TOO_LARGE, SIGNATURE_MISSING */
export function decodeBatchVerifyRequest(request: BatchVerifyRequest__Output): VerifyBatch {
  const batch = decodeBatch(request.data);
  const { signatures } = request;
  const count = `${signatures.length} for ${batch.length} items; each item needs one`;
  if (signatures.length < batch.length) throw missing('SIGNATURE_MISSING', 'signatures', count);
  if (signatures.length > batch.length) throw fieldInvalid('signatures', count);
  return {
    key: decodeKeyName(request.key),
    version: decodeVersion(request.version),
    batch: batch.map((data, index) => ({ data, mac: signatures[index] as Buffer })),
  };
}

function decodeMessage({ data, digest }: Pick<SignRequest__Output, 'data' | 'digest'>): Buffer {
  if (digest === undefined) return required('DATA_MISSING', 'data', data);
  if (data === undefined) return digest;
  throw fieldInvalid('digest', 'give data or its digest, not both');
}

function decodeBatch(data: readonly Buffer[]): readonly Buffer[] {
  if (data.length === 0) throw missing('DATA_MISSING', 'data', 'has no items; send at least one');
  if (data.length > MAX_BATCH_ITEMS) {
    throw fieldInvalid('data', `at most ${MAX_BATCH_ITEMS} items are allowed`);
  }
  let bytes = 0;
  for (const item of data) bytes += item.byteLength;
  if (bytes <= MAX_BATCH_BYTES) return data;
  throw new SigildError(
    'DATA_TOO_LARGE',
    `the items have ${bytes} bytes together; at most ${MAX_BATCH_BYTES} are allowed`,
  );
}
