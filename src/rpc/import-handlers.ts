import { type Algorithm, isPairAlgorithm } from '../domain/algorithm.ts';
import { secondsAndNanos } from '../domain/duration.ts';
import { fieldInvalid } from '../domain/errors.ts';
import type { GetImportKeyResponse } from '../generated/sigild/v1/GetImportKeyResponse.ts';
import type { ImportKeyRequest__Output } from '../generated/sigild/v1/ImportKeyRequest.ts';
import type { KeyServiceHandlers } from '../generated/sigild/v1/KeyService.ts';
import type { ImportKeyItem, KeyImport, OfferedImportKey } from '../service/key-import.ts';
import type { Change } from './change.ts';
import { decodeAlgorithm, decodeKeyName, decodeRequestId } from './decode-fields.ts';
import { encodeKey } from './encode.ts';
import type { RpcEnvironment } from './request.ts';
import { unary } from './unary.ts';

export type ImportHandlers = Pick<KeyServiceHandlers, 'GetImportKey' | 'ImportKey'>;

/** More than any secret has when it is wrapped. */
const MAX_WRAPPED_BYTES = 4_096;

/** More than a public key of any algorithm has. */
const MAX_PUBLIC_KEY_BYTES = 1_024;

export function importHandlers(
  service: Pick<KeyImport, 'getImportKey'>,
  change: Change,
  environment: RpcEnvironment,
): ImportHandlers {
  return {
    GetImportKey: unary('GetImportKey', environment, async (request, context) => {
      const algorithm = decodeAlgorithm(request.algorithm);
      const importKey = await service.getImportKey(context, algorithm);
      return encodeImportKey(importKey);
    }),

    ImportKey: unary('ImportKey', environment, async (request, context) => {
      const item = decodeImportKeyRequest(request);
      const key = await change(request, (to) => to.imports.importKey(context, item));
      return { key: encodeKey(key, key.versions) };
    }),
  };
}

/** @throws {SigildError} FIELD_INVALID */
export function decodeImportKeyRequest(request: ImportKeyRequest__Output): ImportKeyItem {
  const { importKeyId = '', wrappedKey: bytes = Buffer.alloc(0) } = request;
  const { newVersion = false, keepActive = false } = request;
  const algorithm = decodeAlgorithm(request.algorithm);
  const item = {
    key: decodeKeyName(request.key),
    algorithm,
    wrapped: { importKeyId, bytes, publicKey: decodePublicKey(algorithm, request.publicKeyDer) },
    requestId: decodeRequestId(request.requestId),
    newVersion,
    keepActive,
  };
  if (importKeyId === '') throw fieldInvalid('import_key_id', 'is required');
  if (bytes.byteLength === 0) throw fieldInvalid('wrapped_key', 'is required');
  if (bytes.byteLength > MAX_WRAPPED_BYTES) {
    throw fieldInvalid('wrapped_key', `at most ${MAX_WRAPPED_BYTES} bytes are allowed`);
  }
  if (keepActive && !newVersion) throw fieldInvalid('keep_active', 'needs new_version');
  return item;
}

function decodePublicKey(algorithm: Algorithm, bytes: Buffer | undefined): Buffer | undefined {
  const wanted = isPairAlgorithm(algorithm);
  if (wanted && !bytes?.byteLength) throw fieldInvalid('public_key_der', 'is required');
  if (!wanted && bytes?.byteLength) throw fieldInvalid('public_key_der', 'is for key pairs alone');
  if (bytes && bytes.byteLength > MAX_PUBLIC_KEY_BYTES) {
    throw fieldInvalid('public_key_der', `at most ${MAX_PUBLIC_KEY_BYTES} bytes are allowed`);
  }
  return wanted ? bytes : undefined;
}

function encodeImportKey(importKey: OfferedImportKey): GetImportKeyResponse {
  const { id, publicKey, wrapping, expireTimeMs, secrets } = importKey;
  return {
    importKeyId: id,
    publicKeyDer: publicKey,
    wrapping,
    expireTime: secondsAndNanos(expireTimeMs),
    minSecretBytes: secrets.minBytes,
    maxSecretBytes: secrets.maxBytes,
  };
}
