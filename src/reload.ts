import { clientGrants } from './client-grants.ts';
import type { ClientConfig, Config } from './config/config.ts';
import { clientChanges, settingsForRestart } from './config/config-changes.ts';
import { ConfigError } from './config/config-error.ts';
import type { Log } from './lifecycle/log.ts';
import type { RpcServer } from './rpc/server.ts';
import type { AccessPolicy } from './service/access-policy.ts';

export interface ReloadOptions {
  /** As the daemon was started with it. */
  readonly config: Config;
  /** Reads it again. @throws {ConfigError} */
  readonly read: () => Config;
  readonly policy: Pick<AccessPolicy, 'replace'>;
  readonly server: Pick<RpcServer, 'prepareTls'>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Told of each run: whether everything could be read, and whether anything is in use since. */
  readonly onEnd: (succeeded: boolean, hasChanged: boolean) => void;
}

/** After a failure: what made it may mend without a change of a file. */
const RETRY_MS = 10_000;

/**
 * Reads the configuration and the files of its TLS listeners again, all or nothing: where any of
 * them cannot be used, what was read before stays in use, and it is tried again.
 */
export class Reload {
  readonly #options: ReloadOptions;
  #clients: readonly ClientConfig[];
  #retry: NodeJS.Timeout | undefined;
  /** What was told last, so that it is not told again with each try. */
  #problem = '';
  #forRestart = '';

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#clients = options.config.clients;
  }

  /** Those that count by now. */
  get clients(): readonly ClientConfig[] {
    return this.#clients;
  }

  /** @param asked by an operator, who wants an answer also where nothing has changed */
  run({ asked }: { readonly asked: boolean }): void {
    clearTimeout(this.#retry);
    if (asked) this.#problem = '';
    try {
      const hasChanged = this.#renew();
      if (!hasChanged && (asked || this.#problem !== '')) {
        this.#options.log.info('all can be read, and nothing has changed');
      }
      this.#problem = '';
      this.#options.onEnd(true, hasChanged);
    } catch (error) {
      this.#keep(error);
      this.#retry = setTimeout(() => this.run({ asked: false }), RETRY_MS).unref();
      this.#options.onEnd(false, false);
    }
  }

  stop(): void {
    clearTimeout(this.#retry);
  }

  /** @returns whether anything has changed */
  #renew(): boolean {
    const { read, server, policy, log } = this.#options;
    const config = read();
    const { changed: files, apply } = server.prepareTls();
    const clients = clientChanges(this.#clients, config.clients);
    if (clients) policy.replace(clientGrants(config.clients));
    this.#clients = config.clients;
    const closedConnections = apply();
    this.#tellForRestart(config);
    if (!clients && files.length === 0) return false;
    log.info({ clients, files, closedConnections }, 'what has changed is in use');
    return true;
  }

  #tellForRestart(config: Config): void {
    const settings = settingsForRestart(this.#options.config, config);
    const told = settings.join();
    if (settings.length > 0 && told !== this.#forRestart) {
      this.#options.log.warn({ settings }, 'these settings have changed and wait for a restart');
    }
    this.#forRestart = told;
  }

  #keep(error: unknown): void {
    const problems = error instanceof ConfigError ? error.messages : [messageOf(error)];
    const problem = problems.join('\n');
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.log.error(
      { problems },
      'the configuration, or a file that it names, cannot be used: all stays as it was',
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
