import { SigildError } from '../domain/errors.ts';
import { StartFailure, type StartFailureKind } from '../service/start-failure.ts';
import { CommandFailure } from './command-failure.ts';

const REASON_OF_KIND = {
  configuration: 'CONFIGURATION',
  unavailable: 'TOKEN_UNAVAILABLE',
  'wrong-pin': 'WRONG_PIN',
  'wrong-token': 'TOKEN_UNAVAILABLE',
} as const satisfies Record<StartFailureKind, string>;

/**
 * What a failure of the module or the token means to the user of sigilctl.
 *
 * @returns what is no such failure as it is
 */
export function tokenFailure(error: unknown): unknown {
  if (!(error instanceof StartFailure || error instanceof SigildError)) return error;
  return new CommandFailure(reasonOf(error), error.message, { cause: error });
}

export function reasonOf(failure: StartFailure | SigildError): string {
  return failure instanceof StartFailure ? REASON_OF_KIND[failure.kind] : failure.reason;
}
