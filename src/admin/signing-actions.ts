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
  const document = await withDaemon(address, options, (daemon) =>
    daemon.sign({ key: options.key, version: options.keyVersion, data, ...peer }),
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
  const document = await withDaemon(address, options, (daemon) =>
    daemon.verify({ key: options.key, version: options.keyVersion, data, signature, ...peer }),
  );
  return document.valid
    ? { document, text: `valid, version ${document.version}\n` }
    : { document, text: 'not valid\n', exitCode: EXIT_STATUS.notValid.code };
}
