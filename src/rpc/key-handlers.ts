import { versionOf } from '../domain/key.ts';
import type { KeyServiceHandlers } from '../generated/sigild/v1/KeyService.ts';
import type { KeyDestruction } from '../service/key-destruction.ts';
import type { KeyLifecycle } from '../service/key-lifecycle.ts';
import type { KeyService } from '../service/key-service.ts';
import type { KeySettingsService } from '../service/key-settings.ts';
import {
  decodeCreateKeyRequest,
  decodeGetKeyRequest,
  decodeListKeysRequest,
  decodeRestoreRequest,
  decodeRotateKeyRequest,
  decodeScheduleDestroyRequest,
  decodeUpdateKeyRequest,
  decodeUpdateKeyVersionRequest,
} from './decode.ts';
import { encodeKey, encodePage, encodeTokenInfo } from './encode.ts';
import type { RpcEnvironment } from './request.ts';
import { unary } from './unary.ts';

export function keyHandlers(
  service: Pick<KeyService, 'createKey' | 'getKey' | 'listKeys' | 'getTokenInfo'>,
  lifecycle: Pick<KeyLifecycle, 'rotateKey' | 'updateKeyVersion'>,
  settings: Pick<KeySettingsService, 'updateKey'>,
  destruction: Pick<KeyDestruction, 'scheduleDestroy' | 'restore'>,
  environment: RpcEnvironment,
): KeyServiceHandlers {
  return {
    CreateKey: unary('CreateKey', environment, async (request, context) => {
      const item = decodeCreateKeyRequest(request);
      const key = await service.createKey(context, item);
      return { key: encodeKey(key, key.versions) };
    }),

    GetKey: unary('GetKey', environment, async (request, context) => {
      const { key: name, version } = decodeGetKeyRequest(request);
      // All versions, even when one is asked for: the key's other fields speak for all of them.
      const key = await service.getKey(context, name);
      const versions = version === undefined ? key.versions : [versionOf(key, version)];
      return { key: encodeKey(key, versions) };
    }),

    ListKeys: unary('ListKeys', environment, async (request, context) => {
      const { pageSize, after } = decodeListKeysRequest(request);
      const page = await service.listKeys(context, pageSize, after);
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

    GetTokenInfo: unary('GetTokenInfo', environment, async (_request, context) => {
      const token = await service.getTokenInfo(context);
      return { token: encodeTokenInfo(token) };
    }),
  };
}
