import { type Command, Option } from 'commander';
import { addDaemonOptions, addressOf, type DaemonOptions } from './daemon-options.ts';
import { addCommand, type Invocation, printing } from './invocation.ts';
import type { ExportPublicOptions } from './public-key-actions.ts';
import { versionNumber } from './version-number.ts';

const EXPORT = 'sigilctl key export-public invoices';

/** @param key the group of the commands for keys */
export function addPublicKeyCommands(key: Command, invocation: Invocation): void {
  addExportPublic(key, invocation);
  addJwks(key, invocation);
}

function addExportPublic(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'export-public <name>',
    'print the public key of a key pair, with which anybody can verify what it signs',
    [`${EXPORT} >invoices.pem`, `${EXPORT} --version 1 --format jwk`, `${EXPORT} -o json`],
  )
    .option('--version <n>', 'of this version (default: the primary)', versionNumber)
    .addOption(
      new Option('--format <format>', 'SubjectPublicKeyInfo as PEM or DER, or a JWK')
        .choices(['pem', 'der', 'jwk'])
        .default('pem'),
    );
  addDaemonOptions(command).action(
    printing(invocation, async (name: string, options: ExportPublicOptions) => {
      const { exportPublicKey } = await import('./public-key-actions.ts');
      return exportPublicKey(addressOf(options, invocation), name, options);
    }),
  );
}

function addJwks(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'jwks',
    'print the public keys of all versions that may verify as a JWK Set, to be served as it is',
    ['sigilctl key jwks >jwks.json'],
  );
  addDaemonOptions(command).action(
    printing(invocation, async (options: DaemonOptions) => {
      const { listPublicKeys } = await import('./public-key-actions.ts');
      return listPublicKeys(addressOf(options, invocation), options);
    }),
  );
}
