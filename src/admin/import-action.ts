import { type Algorithm, isPairAlgorithm } from '../domain/algorithm.ts';
import { usageFailure } from './command-failure.ts';
import type { ChangeOptions } from './daemon-options.ts';
import type { CommandResult } from './invocation.ts';
import { repeatable } from './key-actions.ts';
import type { SecretFormat } from './secret-format.ts';
import { readSecret } from './secret-input.ts';

export interface ImportOptions extends ChangeOptions {
  readonly algorithm: Algorithm;
  readonly format: SecretFormat;
  readonly secretFile?: string;
  readonly secretStdin?: boolean;
  readonly newVersion?: boolean;
  readonly keepActive?: boolean;
  readonly requestId?: string;
}

/** `key import` */
export async function importKey(
  address: string,
  name: string,
  options: ImportOptions,
): Promise<CommandResult> {
  const { algorithm, format, newVersion = false, keepActive = false } = options;
  if (keepActive && !newVersion) throw usageFailure('--keep-active goes with --new-version alone');
  if (format === 'pem' && !isPairAlgorithm(algorithm)) {
    throw usageFailure('--format pem is for key pairs alone');
  }
  const { secretFile: file, secretStdin: stdin = false, dryRun = false } = options;
  const secret = await readSecret({ file, stdin }, format);
  try {
    return await repeatable(address, options, 'the key may exist', (daemon, requestId) =>
      daemon.importKey({
        ...{ key: name, algorithm, secret, requestId },
        ...{ newVersion, keepActive, dryRun },
      }),
    );
  } catch (error) {
    throw error instanceof RangeError ? usageFailure(error.message) : error;
  } finally {
    secret.fill(0);
  }
}
