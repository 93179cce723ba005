import { versionOf } from '../domain/key.ts';
import type { KeyServiceHandlers } from '../generated/sigild/v1/KeyService.ts';
import type { KeyService } from '../service/key-service.ts';
import type { PublicKeyService } from '../service/public-key-service.ts';
import type { Change } from './change.ts';
import {
  decodeCreateKeyRequest,
  decodeGetKeyRequest,
  decodeListKeysRequest,
  decodeRestoreRequest,
  decodeRotateKeyRequest,
  decodeScheduleDestroyRequest,
  decodeUpdateKeyRequest,
  decodeUpdateKeyVersionRequest,
} from './decode-keys.ts';
import {
  encodeKey,
  encodePage,
  encodePublicKey,
  encodePublicKeys,
  encodeTokenInfo,
} from './encode.ts';
import type { ImportHandlers } from './import-handlers.ts';
import type { RpcEnvironment } from './request.ts';
import { unary } from './unary.ts';

/** What the calls of KeyService that change nothing are answered by. */
export interface KeyServices {
  readonly keys: Pick<KeyService, 'getKey' | 'listKeys' | 'getTokenInfo'>;
  readonly publicKeys: Pick<PublicKeyService, 'getPublicKey' | 'listPublicKeys'>;
}

export function keyHandlers(
  { keys, publicKeys }: KeyServices,
  change: Change,
  environment: RpcEnvironment,
): Omit<KeyServiceHandlers, keyof ImportHandlers> {
  return {
    CreateKey: unary('CreateKey', environment, async (request, context) => {
      const item = decodeCreateKeyRequest(request);
      const key = await change(request, (to) => to.keys.createKey(context, item));
      return { key: encodeKey(key, key.versions) };
    }),

    GetKey: unary('GetKey', environment, async (request, context) => {
      const { key: name, version } = decodeGetKeyRequest(request);
      // All versions, even when one is asked for: the key's other fields speak for all of them.
      const key = await keys.getKey(context, name);
      const versions = version === undefined ? key.versions : [versionOf(key, version)];
      return { key: encodeKey(key, versions) };
    }),

    ListKeys: unary('ListKeys', environment, async (request, context) => {
      const { pageSize, after } = decodeListKeysRequest(request);
      const page = await keys.listKeys(context, pageSize, after);
      return encodePage(page);
    }),

    RotateKey: unary('RotateKey', environment, async (request, context) => {
      const item = decodeRotateKeyRequest(request);
      const key = await change(request, (to) => to.lifecycle.rotateKey(context, item));
      return { key: encodeKey(key, key.versions) };
    }),

    UpdateKey: unary('UpdateKey', environment, async (request, context) => {
      const item = decodeUpdateKeyRequest(request);
      const key = await change(request, (to) => to.settings.updateKey(context, item));
      return { key: encodeKey(key, key.versions) };
    }),

    UpdateKeyVersion: unary('UpdateKeyVersion', environment, async (request, context) => {
      const item = decodeUpdateKeyVersionRequest(request);
      const key = await change(request, (to) => to.lifecycle.updateKeyVersion(context, item));
      return { key: encodeKey(key, key.versions) };
    }),

    ScheduleDestroy: unary('ScheduleDestroy', environment, async (request, context) => {
      const item = decodeScheduleDestroyRequest(request);
      const key = await change(request, (to) => to.destruction.scheduleDestroy(context, item));
      return { key: encodeKey(key, key.versions) };
    }),

    Restore: unary('Restore', environment, async (request, context) => {
      const item = decodeRestoreRequest(request);
      const key = await change(request, (to) => to.destruction.restore(context, item));
      return { key: encodeKey(key, key.versions) };
    }),

    GetPublicKey: unary('GetPublicKey', environment, async (request, context) => {
      const { key, version } = decodeGetKeyRequest(request);
      const publicKey = await publicKeys.getPublicKey(context, key, version);
      return { publicKey: encodePublicKey(publicKey) };
    }),

    ListPublicKeys: unary('ListPublicKeys', environment, async (_request, context) => {
      const found = await publicKeys.listPublicKeys(context);
      return encodePublicKeys(found);
    }),

    GetTokenInfo: unary('GetTokenInfo', environment, async (_request, context) => {
      const token = await keys.getTokenInfo(context);
      return { token: encodeTokenInfo(token) };
    }),
  };
}
