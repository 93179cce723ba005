import { withDaemon } from './daemon-client.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { readData, readSignature } from './data-input.ts';
import { EXIT_STATUS } from './exit-status.ts';
import type { CommandResult } from './invocation.ts';
import { readPeer } from './peer-input.ts';

interface InputOptions extends DaemonOptions {
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
  const peer = await readPeer(options);
  const data = await readData(options.inputFile);
  const reference = { key: options.key, version: options.keyVersion };
  const document = await withDaemon(address, options, (daemon) =>
    'whole' in data
      ? daemon.sign({ ...reference, ...peer, data: data.whole })
      : daemon.signStream(reference, data.pieces),
  );
  const { signature, version, versionId } = document;
  return { document, text: `${signature}\n`, note: `version ${version} (id ${versionId})` };
}

/** `verify` */
export async function verify(address: string, options: VerifyOptions): Promise<CommandResult> {
  const { signature: text, signatureFile } = options;
  const signature = await readSignature({ signature: text, signatureFile });
  const peer = await readPeer(options);
  const data = await readData(options.inputFile);
  const item = { key: options.key, version: options.keyVersion, signature };
  const document = await withDaemon(address, options, (daemon) =>
    'whole' in data
      ? daemon.verify({ ...item, ...peer, data: data.whole })
      : daemon.verifyStream(item, data.pieces),
  );
  return document.valid
    ? { document, text: `valid, version ${document.version}\n` }
    : { document, text: 'not valid\n', exitCode: EXIT_STATUS.notValid.code };
}
