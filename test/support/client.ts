import { type ChannelCredentials, credentials, type ServiceError } from '@grpc/grpc-js';
import type { CreateKeyRequest } from '../../src/generated/sigild/v1/CreateKeyRequest.ts';
import type { CreateKeyResponse__Output } from '../../src/generated/sigild/v1/CreateKeyResponse.ts';
import type { GetImportKeyRequest } from '../../src/generated/sigild/v1/GetImportKeyRequest.ts';
import type { GetImportKeyResponse__Output } from '../../src/generated/sigild/v1/GetImportKeyResponse.ts';
import type { GetKeyRequest } from '../../src/generated/sigild/v1/GetKeyRequest.ts';
import type { GetKeyResponse__Output } from '../../src/generated/sigild/v1/GetKeyResponse.ts';
import type { GetPublicKeyRequest } from '../../src/generated/sigild/v1/GetPublicKeyRequest.ts';
import type { GetPublicKeyResponse__Output } from '../../src/generated/sigild/v1/GetPublicKeyResponse.ts';
import type { GetTokenInfoResponse__Output } from '../../src/generated/sigild/v1/GetTokenInfoResponse.ts';
import type { ImportKeyRequest } from '../../src/generated/sigild/v1/ImportKeyRequest.ts';
import type { ImportKeyResponse__Output } from '../../src/generated/sigild/v1/ImportKeyResponse.ts';
import type { ListKeysRequest } from '../../src/generated/sigild/v1/ListKeysRequest.ts';
import type { ListKeysResponse__Output } from '../../src/generated/sigild/v1/ListKeysResponse.ts';
import type { ListPublicKeysResponse__Output } from '../../src/generated/sigild/v1/ListPublicKeysResponse.ts';
import type { RestoreRequest } from '../../src/generated/sigild/v1/RestoreRequest.ts';
import type { RestoreResponse__Output } from '../../src/generated/sigild/v1/RestoreResponse.ts';
import type { RotateKeyRequest } from '../../src/generated/sigild/v1/RotateKeyRequest.ts';
import type { RotateKeyResponse__Output } from '../../src/generated/sigild/v1/RotateKeyResponse.ts';
import type { ScheduleDestroyRequest } from '../../src/generated/sigild/v1/ScheduleDestroyRequest.ts';
import type { ScheduleDestroyResponse__Output } from '../../src/generated/sigild/v1/ScheduleDestroyResponse.ts';
import type { SignRequest } from '../../src/generated/sigild/v1/SignRequest.ts';
import type { SignResponse__Output } from '../../src/generated/sigild/v1/SignResponse.ts';
import type { UpdateKeyVersionRequest } from '../../src/generated/sigild/v1/UpdateKeyVersionRequest.ts';
import type { UpdateKeyVersionResponse__Output } from '../../src/generated/sigild/v1/UpdateKeyVersionResponse.ts';
import type { VerifyRequest } from '../../src/generated/sigild/v1/VerifyRequest.ts';
import type { VerifyResponse__Output } from '../../src/generated/sigild/v1/VerifyResponse.ts';
import { decodeErrorDetails, STATUS_DETAILS_KEY } from '../../src/rpc/error-details.ts';
import { v1 } from '../../src/rpc/proto.ts';

/**
 * The API as plain promises. Each call has a deadline of 5 s unless told otherwise, one that changes
 * the token 20 s: it waits for the token host that does so, where that is still starting.
 */
export interface TestClient {
  createKey(request: CreateKeyRequest): Promise<CreateKeyResponse__Output>;
  getKey(request: GetKeyRequest): Promise<GetKeyResponse__Output>;
  listKeys(request: ListKeysRequest): Promise<ListKeysResponse__Output>;
  rotateKey(request: RotateKeyRequest): Promise<RotateKeyResponse__Output>;
  updateKeyVersion(request: UpdateKeyVersionRequest): Promise<UpdateKeyVersionResponse__Output>;
  getImportKey(request: GetImportKeyRequest): Promise<GetImportKeyResponse__Output>;
  importKey(request: ImportKeyRequest): Promise<ImportKeyResponse__Output>;
  getPublicKey(request: GetPublicKeyRequest): Promise<GetPublicKeyResponse__Output>;
  listPublicKeys(): Promise<ListPublicKeysResponse__Output>;
  scheduleDestroy(request: ScheduleDestroyRequest): Promise<ScheduleDestroyResponse__Output>;
  restore(request: RestoreRequest): Promise<RestoreResponse__Output>;
  getTokenInfo(): Promise<GetTokenInfoResponse__Output>;
  sign(request: SignRequest): Promise<SignResponse__Output>;
  verify(request: VerifyRequest): Promise<VerifyResponse__Output>;
  close(): void;
}

export function connectClient(
  address: string,
  channel: ChannelCredentials = credentials.createInsecure(),
  deadlineMs = 5_000,
): TestClient {
  const keys = new v1.KeyService(address, channel);
  const signing = new v1.SigningService(address, channel);
  const options = () => ({ deadline: Date.now() + deadlineMs });
  return {
    createKey: (request) =>
      promise((done) => keys.createKey(request, { deadline: Date.now() + 20_000 }, done)),
    getKey: (request) => promise((done) => keys.getKey(request, options(), done)),
    listKeys: (request) => promise((done) => keys.listKeys(request, options(), done)),
    rotateKey: (request) =>
      promise((done) => keys.rotateKey(request, { deadline: Date.now() + 20_000 }, done)),
    updateKeyVersion: (request) =>
      promise((done) => keys.updateKeyVersion(request, { deadline: Date.now() + 20_000 }, done)),
    getImportKey: (request) =>
      promise((done) => keys.getImportKey(request, { deadline: Date.now() + 20_000 }, done)),
    importKey: (request) =>
      promise((done) => keys.importKey(request, { deadline: Date.now() + 20_000 }, done)),
    getPublicKey: (request) => promise((done) => keys.getPublicKey(request, options(), done)),
    listPublicKeys: () => promise((done) => keys.listPublicKeys({}, options(), done)),
    scheduleDestroy: (request) =>
      promise((done) => keys.scheduleDestroy(request, { deadline: Date.now() + 20_000 }, done)),
    restore: (request) =>
      promise((done) => keys.restore(request, { deadline: Date.now() + 20_000 }, done)),
    getTokenInfo: () =>
      promise((done) => keys.getTokenInfo({}, { deadline: Date.now() + 20_000 }, done)),
    sign: (request) => promise((done) => signing.sign(request, options(), done)),
    verify: (request) => promise((done) => signing.verify(request, options(), done)),
    close: () => {
      keys.close();
      signing.close();
    },
  };
}

type Callback<Response> = (error: ServiceError | null, response?: Response) => void;

function promise<Response>(call: (done: Callback<Response>) => void): Promise<Response> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error ? reject(error) : resolve(response as Response)));
  });
}

/** What an error of the API says of itself. */
export interface ErrorDetails {
  readonly code: number;
  readonly reason: string | undefined;
  readonly fields: readonly string[];
  readonly retryDelayMs: number | undefined;
  readonly message: string;
}

/** The details of a call's failure. @throws {Error} when it did not fail */
export async function failureOf(call: Promise<unknown>): Promise<ErrorDetails> {
  const error = await call.then(
    () => {
      throw new Error('the call did not fail');
    },
    (failure: ServiceError) => failure,
  );
  const [bytes] = error.metadata.get(STATUS_DETAILS_KEY);
  const details = Buffer.isBuffer(bytes) ? decodeErrorDetails(bytes) : undefined;
  return {
    code: error.code,
    message: error.details,
    reason: details?.reason,
    fields: details?.violations.map(({ field }) => field) ?? [],
    retryDelayMs: details?.retryAfterMs,
  };
}
