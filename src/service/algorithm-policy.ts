import type { Algorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';

/** @throws {SigildError} ALGORITHM_DISABLED */
export function assertEnabled(algorithm: Algorithm, enabled: ReadonlySet<Algorithm>): void {
  if (enabled.has(algorithm)) return;
  throw new SigildError(
    'ALGORITHM_DISABLED',
    `${algorithm} is not allowed; the daemon's configuration must list it under algorithms`,
  );
}
