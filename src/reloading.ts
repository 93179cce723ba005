import type { Config } from './config/config.ts';
import { loadConfig } from './config/load-config.ts';
import { expiryWatch } from './expiries.ts';
import { watchFiles } from './lifecycle/file-watch.ts';
import type { Log } from './lifecycle/log.ts';
import { Reload } from './reload.ts';
import type { RpcServer } from './rpc/server.ts';
import { pathsOf } from './rpc/tls-credentials.ts';
import type { AccessPolicy } from './service/access-policy.ts';

export interface ReloadingOptions {
  readonly config: Config;
  /** Where it stands. */
  readonly configFile: string;
  readonly policy: AccessPolicy;
  readonly server: RpcServer;
  readonly log: Log;
  readonly onReload: (succeeded: boolean) => void;
}

export interface Reloading {
  /** Reads everything again at once, and tells in the log also that nothing has changed. */
  reload(): void;
  stop(): void;
}

/**
 * Keeps what can be changed at run time as its files say, and warns of what is going to expire; to
 * be called when the listeners are open.
 */
export function startReloading(options: ReloadingOptions): Reloading {
  const { config, configFile, server, log } = options;
  const reload = new Reload({
    ...options,
    read: () => loadConfig(configFile),
    onEnd: (succeeded, hasChanged) => {
      options.onReload(succeeded);
      if (hasChanged) expiries.start();
    },
  });
  const expiries = expiryWatch(
    { files: () => server.tlsExpiries(), clients: () => reload.clients },
    log,
  );
  expiries.start();
  const unwatch = watchFiles([configFile, ...tlsFiles(config)], () => reload.run({ asked: false }));
  return {
    reload: () => reload.run({ asked: true }),
    stop: () => {
      unwatch();
      expiries.stop();
      reload.stop();
    },
  };
}

function tlsFiles({ listeners }: Config): string[] {
  const files = listeners.flatMap(({ identity }) =>
    identity.kind === 'certificate' ? pathsOf(identity.tls) : [],
  );
  return [...new Set(files)];
}
