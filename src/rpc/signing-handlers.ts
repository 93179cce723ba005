import type { SigningServiceHandlers } from '../generated/sigild/v1/SigningService.ts';
import type { SigningService } from '../service/signing-service.ts';
import { decodeSignRequest, decodeVerifyRequest } from './decode.ts';
import { encodeSignature, encodeVerification } from './encode.ts';
import { type UnaryEnvironment, unary } from './unary.ts';

export function signingHandlers(
  service: Pick<SigningService, 'sign' | 'verify'>,
  environment: UnaryEnvironment,
): SigningServiceHandlers {
  return {
    Sign: unary('Sign', environment, async (request, context) => {
      const item = decodeSignRequest(request);
      const signature = await service.sign(context, item);
      return encodeSignature(signature);
    }),

    Verify: unary('Verify', environment, async (request, context) => {
      const item = decodeVerifyRequest(request);
      const version = await service.verify(context, item);
      return encodeVerification(version);
    }),
  };
}
