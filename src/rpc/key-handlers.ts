import { versionOf } from '../domain/key.ts';
import type { KeyServiceHandlers } from '../generated/sigild/v1/KeyService.ts';
import type { KeyDestruction } from '../service/key-destruction.ts';
import type { KeyLifecycle } from '../service/key-lifecycle.ts';
import type { KeyService } from '../service/key-service.ts';
import type { KeySettingsService } from '../service/key-settings.ts';
import type { PublicKeyService } from '../service/public-key-service.ts';
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

/** What the calls of KeyService are answered by. */
export interface KeyServices {
  readonly keys: Pick<KeyService, 'createKey' | 'getKey' | 'listKeys' | 'getTokenInfo'>;
  readonly lifecycle: Pick<KeyLifecycle, 'rotateKey' | 'updateKeyVersion'>;
  readonly settings: Pick<KeySettingsService, 'updateKey'>;
  readonly destruction: Pick<KeyDestruction, 'scheduleDestroy' | 'restore'>;
  readonly publicKeys: Pick<PublicKeyService, 'getPublicKey' | 'listPublicKeys'>;
}

export function keyHandlers(
  { keys, lifecycle, settings, destruction, publicKeys }: KeyServices,
  environment: RpcEnvironment,
): Omit<KeyServiceHandlers, keyof ImportHandlers> {
  return {
    CreateKey: unary('CreateKey', environment, async (request, context) => {
      const item = decodeCreateKeyRequest(request);
      const key = await keys.createKey(context, item);
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
      const key = await lifecycle.rotateKey(context, item);
      return { key: encodeKey(key, key.versions) };
    }),

    UpdateKey: unary('UpdateKey', environment, async (request, context) => {
      const item = decodeUpdateKeyRequest(request);
      const key = await settings.updateKey(context, item);
      return { key: encodeKey(key, key.versions) };
    }),

    UpdateKeyVersion: unary('UpdateKeyVersion', environment, async (request, context) => {
      const item = decodeUpdateKeyVersionRequest(request);
      const key = await lifecycle.updateKeyVersion(context, item);
      return { key: encodeKey(key, key.versions) };
    }),

    ScheduleDestroy: unary('ScheduleDestroy', environment, async (request, context) => {
      const item = decodeScheduleDestroyRequest(request);
      const key = await destruction.scheduleDestroy(context, item);
      return { key: encodeKey(key, key.versions) };
    }),

    Restore: unary('Restore', environment, async (request, context) => {
      const item = decodeRestoreRequest(request);
      const key = await destruction.restore(context, item);
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
