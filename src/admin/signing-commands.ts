import { type Command, Option } from 'commander';
import { addChangeOptions, addressOf } from './daemon-options.ts';
import { addCommand, type Invocation, printing } from './invocation.ts';
import type { SignOptions, VerifyOptions } from './signing-actions.ts';
import { versionNumber } from './version-number.ts';

const SIGN = 'sigilctl sign --key webhooks --input-file payload.bin';
const VERIFY = 'sigilctl verify --key webhooks --input-file payload.bin';

export function addSigningCommands(program: Command, invocation: Invocation): void {
  addSign(program, invocation);
  addVerify(program, invocation);
}

function addSign(program: Command, invocation: Invocation): void {
  const command = addCommand(
    program,
    'sign',
    'sign data: prints the signature in base64, and on stderr the version that signed',
    [SIGN, 'printf %s "$BODY" | sigilctl sign --key webhooks', `${SIGN} -o json`],
  );
  addInputOptions(command, 'sign with this version (default: the primary)').action(
    printing(invocation, async (options: SignOptions) => {
      const { sign } = await import('./signing-actions.ts');
      return sign(addressOf(options, invocation), options);
    }),
  );
}

function addVerify(program: Command, invocation: Invocation): void {
  const command = addCommand(
    program,
    'verify',
    'check a signature; exits with 0 when it is valid and with 2 when it is not',
    [
      `${VERIFY} --signature BASE64`,
      `${VERIFY} --signature-file payload.sig`,
      `${VERIFY} --signature BASE64 -o json`,
    ],
  )
    .option('--signature <base64>', 'the signature, as sigilctl sign prints it')
    .addOption(
      new Option('--signature-file <file>', 'file with the signature in base64').conflicts(
        'signature',
      ),
    );
  addInputOptions(command, 'accept this version alone (default: all that may verify)').action(
    printing(invocation, async (options: VerifyOptions) => {
      const { verify } = await import('./signing-actions.ts');
      return verify(addressOf(options, invocation), options);
    }),
  );
}

function addInputOptions(command: Command, versionDescription: string): Command {
  command
    .option(
      '--peer-public-key-file <file>',
      "of an agreement key: the peer's public key, in PEM or DER",
    )
    .addOption(
      new Option(
        '--peer-key <name>',
        'of an agreement key: the key pair whose public key is that of the peer',
      ).conflicts('peerPublicKeyFile'),
    )
    .requiredOption('--key <name>', "the key's name")
    .option('--key-version <n>', versionDescription, versionNumber)
    .option(
      '--input-file <file>',
      'the data; - is stdin (default: stdin, when it is not a terminal)',
    );
  return addChangeOptions(command);
}
