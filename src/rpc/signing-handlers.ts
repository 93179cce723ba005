import type { SigningServiceHandlers } from '../generated/sigild/v1/SigningService.ts';
import type { SigningService } from '../service/signing-service.ts';
import {
  decodeBatchSignRequest,
  decodeBatchVerifyRequest,
  decodeSignRequest,
  decodeVerifyRequest,
} from './decode.ts';
import {
  encodeSignature,
  encodeSignatures,
  encodeVerification,
  encodeVerifications,
} from './encode.ts';
import type { Pipelines } from './pipeline.ts';
import type { RpcEnvironment } from './request.ts';
import { unary } from './unary.ts';

export function signingHandlers(
  service: Pick<SigningService, 'sign' | 'verify'>,
  environment: RpcEnvironment,
  pipelines: Pipelines,
): SigningServiceHandlers {
  return {
    Sign: unary('Sign', environment, async (request, context) => {
      const batch = decodeSignRequest(request);
      const signatures = await service.sign(context, batch);
      return encodeSignature(signatures);
    }),

    Verify: unary('Verify', environment, async (request, context) => {
      const batch = decodeVerifyRequest(request);
      const [version] = await service.verify(context, batch);
      return encodeVerification(version);
    }),

    BatchSign: unary('BatchSign', environment, async (request, context) => {
      const batch = decodeBatchSignRequest(request);
      const signatures = await service.sign(context, batch);
      return encodeSignatures(signatures);
    }),

    BatchVerify: unary('BatchVerify', environment, async (request, context) => {
      const batch = decodeBatchVerifyRequest(request);
      const versions = await service.verify(context, batch);
      return encodeVerifications(versions);
    }),

    Pipeline: (call) => pipelines.serve(call),
  };
}
