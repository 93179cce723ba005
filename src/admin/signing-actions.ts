import { usageFailure } from './command-failure.ts';
import { withDaemon } from './daemon-client.ts';
import type { ChangeOptions } from './daemon-options.ts';
import { type Data, readData, readSignature } from './data-input.ts';
import { EXIT_STATUS } from './exit-status.ts';
import type { CommandResult } from './invocation.ts';
import { readPeer } from './peer-input.ts';

interface InputOptions extends ChangeOptions {
  readonly key: string;
  readonly keyVersion?: number;
  readonly inputFile?: string;
  readonly peerPublicKeyFile?: string;
  readonly peerKey?: string;
}

export type SignOptions = InputOptions;

export interface VerifyOptions extends InputOptions {
  readonly signature?: string;
  readonly signatureFile?: string;
}

/** `sign` */
export async function sign(address: string, options: SignOptions): Promise<CommandResult> {
  const { dryRun = false } = options;
  const peer = await readPeer(options);
  const data = await readInput(options);
  const reference = { key: options.key, version: options.keyVersion };
  const document = await withDaemon(address, options, (daemon) =>
    'whole' in data
      ? daemon.sign({ ...reference, ...peer, data: data.whole, dryRun })
      : daemon.signStream(reference, data.pieces),
  );
  const { signature, version, versionId } = document;
  if (dryRun) {
    const note = `dry run: version ${version} (id ${versionId}) would sign; nothing was signed`;
    return { document, text: '', note };
  }
  return { document, text: `${signature}\n`, note: `version ${version} (id ${versionId})` };
}

/** `verify` */
export async function verify(address: string, options: VerifyOptions): Promise<CommandResult> {
  const { signature: text, signatureFile, dryRun = false } = options;
  const signature = await readSignature({ signature: text, signatureFile });
  const peer = await readPeer(options);
  const data = await readInput(options);
  const item = { key: options.key, version: options.keyVersion, signature };
  const document = await withDaemon(address, options, (daemon) =>
    'whole' in data
      ? daemon.verify({ ...item, ...peer, data: data.whole, dryRun })
      : daemon.verifyStream(item, data.pieces),
  );
  if (dryRun) {
    const note = 'dry run: a signature could be checked; none was';
    return { document, text: '', note };
  }
  return document.valid
    ? { document, text: `valid, version ${document.version}\n` }
    : { document, text: 'not valid\n', exitCode: EXIT_STATUS.notValid.code };
}

/** @throws {CommandFailure} USAGE for what would be streamed, which cannot be tried */
async function readInput({ inputFile, dryRun }: InputOptions): Promise<Data> {
  const data = await readData(inputFile);
  if (!dryRun || 'whole' in data) return data;
  throw usageFailure('--dry-run is for data of at most 1 MiB', 'try it with less data');
}
