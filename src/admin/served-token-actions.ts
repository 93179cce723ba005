import { withDaemon } from './daemon-client.ts';
import type { DaemonOptions } from './daemon-options.ts';
import type { CommandResult } from './invocation.ts';
import { servedTokenText } from './served-token-documents.ts';

/** `token info` without a module: what the daemon knows of its token. */
export async function showServedToken(
  address: string,
  options: DaemonOptions,
): Promise<CommandResult> {
  const document = await withDaemon(address, options, (daemon) => daemon.getTokenInfo());
  return { document, text: servedTokenText(document) };
}
