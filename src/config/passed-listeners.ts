import type { ListenerAddress, ListenerConfig, ListenerIdentity } from './config.ts';
import { ConfigError } from './config-error.ts';

/** A listener whose socket is known: systemd's are descriptors of this process. */
export interface BindableListener {
  readonly address:
    | Exclude<ListenerAddress, { readonly kind: 'systemd' }>
    | { readonly kind: 'fd'; readonly fd: number };
  readonly identity: ListenerIdentity;
}

/**
 * Puts the descriptors that systemd passed in the place of their names; a name that stands for
 * several sockets becomes as many listeners.
 *
 * @throws {ConfigError} when systemd has passed no socket of a name
 */
export function bindableListeners(
  listeners: readonly ListenerConfig[],
  passed: ReadonlyMap<string, readonly number[]>,
): BindableListener[] {
  return listeners.flatMap(({ address, identity }): BindableListener[] => {
    if (address.kind !== 'systemd') return [{ address, identity }];
    const fds = passed.get(address.name);
    if (!fds) throw new ConfigError([notPassed(address.name, [...passed.keys()])]);
    return fds.map((fd) => ({ address: { kind: 'fd', fd }, identity }));
  });
}

function notPassed(name: string, others: readonly string[]): string {
  const found = others.length > 0 ? `it has passed: ${others.join(', ')}` : 'it has passed none';
  return (
    `systemd has passed no socket with the FileDescriptorName ${name} (${found}): start sigild ` +
    'by its socket unit, or take the listener out of the configuration'
  );
}
