import { join } from 'node:path';
import { HostedToken } from '../../src/token-host/hosted-token.ts';
import type { HostedTokenOptions } from '../../src/token-host/hosted-token-options.ts';
import type { SoftHsm } from './softhsm.ts';

/** The built host program: tests run what users run. */
export const HOST_PROGRAM = join(import.meta.dirname, '../../dist/token-host/host-process.js');

/** A hosted token on a SoftHSM, with two hosts of two sessions unless told otherwise. */
export function startHostedToken(
  softHsm: SoftHsm,
  options: Partial<HostedTokenOptions> = {},
): Promise<HostedToken> {
  return HostedToken.start({
    program: HOST_PROGRAM,
    environment: softHsm.environment,
    module: softHsm.module,
    selector: { label: softHsm.label },
    pin: { file: softHsm.pinFile, credential: false },
    adopt: [{ label: 'adopted-*', algorithm: 'HMAC_SHA256' }],
    warmKeys: 'auto',
    recheckMs: 1_000,
    hosts: 2,
    sessionsPerHost: 2,
    startTimeoutMs: 10_000,
    callTimeoutMs: 5_000,
    maxWaiting: 1_024,
    onTransition: () => undefined,
    onWriterTransition: () => undefined,
    onDefect: (stack) => {
      throw new Error(stack);
    },
    onGiveUp: () => undefined,
    ...options,
  });
}
