import { type Command, Option } from 'commander';
import { ALGORITHM_NAMES } from '../domain/algorithm.ts';
import { addChangeOptions, addressOf } from './daemon-options.ts';
import type { ImportOptions } from './import-action.ts';
import { addCommand, type Invocation, printing } from './invocation.ts';
import { SECRET_FORMATS } from './secret-format.ts';

/** A busy token makes the key pair to wrap with in ten seconds and more. */
const TIMEOUT_MS = 30_000;

const IMPORT = 'sigilctl key import partner --algorithm HMAC_SHA1 --format text';

export function addImport(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'import <name>',
    'bring a secret that others know into the token; it is wrapped here and unwrapped there',
    [
      `${IMPORT} --secret-file partner.secret`,
      `vault read -field=secret partner | ${IMPORT} --secret-stdin`,
      `${IMPORT} --new-version`,
      'sigilctl key import signer --algorithm EC_SIGN_P256_SHA256 --format pem --secret-file key.pem',
    ],
  )
    .addOption(
      new Option('--algorithm <algorithm>', 'what the key is for')
        .choices(ALGORITHM_NAMES)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--format <format>',
        'how the secret is written; text stands for its own bytes, pem is for private keys, and but ' +
          'for raw one line end at the end does not count',
      )
        .choices(SECRET_FORMATS)
        .makeOptionMandatory(),
    )
    .option('--secret-file <file>', 'a file with the secret, which nobody else may read')
    .addOption(
      new Option('--secret-stdin', 'read the secret from stdin (default: ask for it)').conflicts(
        'secretFile',
      ),
    )
    .option(
      '--new-version',
      'make the next version of a key that is there, which signs from then on',
    )
    .option('--keep-active', 'with --new-version: keep the versions before it ACTIVE')
    .option(
      '--request-id <id>',
      'makes the command safe to repeat: the same id, the same version (default: a fresh UUID)',
    );
  addChangeOptions(command, TIMEOUT_MS).action(
    printing(invocation, async (name: string, options: ImportOptions) => {
      const { importKey } = await import('./import-action.ts');
      return importKey(addressOf(options, invocation), name, options);
    }),
  );
}
