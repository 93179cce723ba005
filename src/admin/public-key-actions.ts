import { withDaemon } from './daemon-client.ts';
import type { DaemonOptions } from './daemon-options.ts';
import type { CommandResult } from './invocation.ts';
import type { PublicKeyDocument } from './public-key-documents.ts';

export interface ExportPublicOptions extends DaemonOptions {
  readonly version?: number;
  readonly format: 'pem' | 'der' | 'jwk';
}

/** `key export-public` */
export async function exportPublicKey(
  address: string,
  name: string,
  options: ExportPublicOptions,
): Promise<CommandResult> {
  const document = await withDaemon(address, options, (daemon) =>
    daemon.getPublicKey({ key: name, version: options.version }),
  );
  const note = `version ${document.version} (id ${document.versionId}), ${document.algorithm}`;
  return { document, text: written(document, options.format), note };
}

/** `key jwks` */
export async function listPublicKeys(
  address: string,
  options: DaemonOptions,
): Promise<CommandResult> {
  const document = await withDaemon(address, options, (daemon) => daemon.getJwks());
  return { document, text: `${JSON.stringify(document)}\n` };
}

function written(
  { pem, der, jwk }: PublicKeyDocument,
  format: ExportPublicOptions['format'],
): string | Buffer {
  switch (format) {
    case 'pem':
      return pem;
    case 'der':
      return Buffer.from(der, 'base64');
    case 'jwk':
      return `${JSON.stringify(jwk)}\n`;
  }
}
