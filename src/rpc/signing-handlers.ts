import type { SigningServiceHandlers } from '../generated/sigild/v1/SigningService.ts';
import type { DryRuns } from '../service/dry-runs.ts';
import type { SigningService } from '../service/signing-service.ts';
import type { StreamService } from '../service/stream-service.ts';
import {
  decodeBatchSignRequest,
  decodeBatchVerifyRequest,
  decodeSignRequest,
  decodeVerifyRequest,
} from './decode-signing.ts';
import { decodeSignHeader, decodeStream, decodeVerifyHeader } from './decode-stream.ts';
import {
  encodeSignature,
  encodeSignatures,
  encodeVerification,
  encodeVerifications,
} from './encode.ts';
import type { MessageStreams } from './message-streams.ts';
import type { Pipelines } from './pipeline.ts';
import type { RpcEnvironment } from './request.ts';
import { costOfBatch, costOfMessage } from './request-cost.ts';
import { meteredUnary } from './unary.ts';

export interface SigningServices {
  readonly signing: Pick<SigningService, 'sign' | 'verify'>;
  readonly streams: Pick<StreamService, 'sign' | 'verify'>;
  readonly dryRuns: Pick<DryRuns, 'signing'>;
}

export function signingHandlers(
  { signing: service, streams, dryRuns }: SigningServices,
  environment: RpcEnvironment,
  pipelines: Pipelines,
  messageStreams: MessageStreams,
): SigningServiceHandlers {
  const serviceFor = ({ dryRun }: { readonly dryRun?: boolean }) =>
    dryRun ? dryRuns.signing() : service;
  return {
    Sign: meteredUnary('Sign', environment, costOfMessage, async (request, context) => {
      const batch = decodeSignRequest(request);
      const signatures = await serviceFor(request).sign(context, batch);
      return encodeSignature(signatures);
    }),

    Verify: meteredUnary('Verify', environment, costOfMessage, async (request, context) => {
      const batch = decodeVerifyRequest(request);
      const [version] = await serviceFor(request).verify(context, batch);
      return encodeVerification(version);
    }),

    BatchSign: meteredUnary('BatchSign', environment, costOfBatch, async (request, context) => {
      const batch = decodeBatchSignRequest(request);
      const signatures = await service.sign(context, batch);
      return encodeSignatures(signatures);
    }),

    BatchVerify: meteredUnary('BatchVerify', environment, costOfBatch, async (request, context) => {
      const batch = decodeBatchVerifyRequest(request);
      const versions = await service.verify(context, batch);
      return encodeVerifications(versions);
    }),

    Pipeline: (call) => pipelines.serve(call),

    SignStream: messageStreams.handler('SignStream', async (messages, context) => {
      const { header, pieces } = await decodeStream(messages);
      const signatures = await streams.sign(context, decodeSignHeader(header), pieces);
      return encodeSignature(signatures);
    }),

    VerifyStream: messageStreams.handler('VerifyStream', async (messages, context) => {
      const { header, pieces } = await decodeStream(messages);
      const version = await streams.verify(context, decodeVerifyHeader(header), pieces);
      return encodeVerification(version);
    }),
  };
}
