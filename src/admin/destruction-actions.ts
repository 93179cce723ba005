import type { DaemonClient } from './daemon-client.ts';
import { withDaemon } from './daemon-client.ts';
import type { ChangeOptions } from './daemon-options.ts';
import type { CommandResult } from './invocation.ts';
import { changed } from './key-actions.ts';
import { type KeyDocument, keyText } from './key-documents.ts';
import { confirmName } from './name-confirmation.ts';

export interface DestroyOptions extends ChangeOptions {
  readonly version: number;
  /** In milliseconds. */
  readonly delay?: number;
  /** The key's name once more. */
  readonly confirm?: string;
}

export interface RestoreOptions extends ChangeOptions {
  readonly version: number;
}

/** States in which nothing is lost that was not given up already. */
const GIVEN_UP = ['DESTROY_SCHEDULED', 'DESTROYED'];

/** `key destroy`. The last version of a key has to be confirmed. */
export async function scheduleDestroy(
  address: string,
  name: string,
  options: DestroyOptions,
): Promise<CommandResult> {
  const { version, delay, confirm, dryRun = false } = options;
  const document = await withDaemon(address, options, async (daemon) => {
    if (!dryRun && (await isLast(daemon, name, version))) {
      await confirmName(name, `version ${version} is the last one of key ${name}`, confirm);
    }
    return daemon.scheduleDestroy({ key: name, version, delayMs: delay, dryRun });
  });
  if (dryRun) return changed(document, options);
  return { document, text: keyText(document), note: noteOf(document, version) };
}

/** `key restore` */
export async function restore(
  address: string,
  name: string,
  options: RestoreOptions,
): Promise<CommandResult> {
  const { version, dryRun = false } = options;
  const document = await withDaemon(address, options, (daemon) =>
    daemon.restore({ key: name, version, dryRun }),
  );
  return changed(document, options);
}

async function isLast(daemon: DaemonClient, name: string, version: number): Promise<boolean> {
  const { versions } = await daemon.getKey({ key: name, version: undefined });
  const left = versions.filter(({ state }) => !GIVEN_UP.includes(state));
  return left.length === 1 && left[0]?.version === version;
}

function noteOf({ name, versions }: KeyDocument, version: number): string {
  const { state, destroyTime } = versions.find((one) => one.version === version) ?? {};
  if (state !== 'DESTROY_SCHEDULED') return `version ${version} of key ${name} is ${state}`;
  return (
    `version ${version} of key ${name} will be destroyed at ${destroyTime}; until then ` +
    `sigilctl key restore ${name} --version ${version} takes that back`
  );
}
