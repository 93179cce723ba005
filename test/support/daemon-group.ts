import { join } from 'node:path';
import { type Client, connect } from '../../src/client/client.ts';
import { baseConfig, type Daemon, startDaemon } from './daemon.ts';
import { createSoftHsm, type SoftHsm } from './softhsm.ts';

export interface Member {
  readonly daemon: Daemon;
  readonly client: Client;
}

/** Daemons on one token of their own, each with a socket and a client, that end together. */
export class DaemonGroup {
  readonly softHsm: SoftHsm = createSoftHsm();
  readonly members: Member[] = [];
  readonly #config: Record<string, object>;

  /** @param config what differs from {@link baseConfig}, the same for all */
  constructor(config: Record<string, object>) {
    this.#config = config;
  }

  /** Starts one more. */
  async start(): Promise<Member> {
    const unix = join(this.softHsm.directory, `${this.members.length}.sock`);
    const { token } = baseConfig(this.softHsm);
    const daemon = await startDaemon(this.softHsm, {
      config: {
        listeners: [{ unix, mode: '0600', client: 'test' }],
        ...this.#config,
        token: { ...(token as object), ...this.#config['token'] },
      },
    });
    const member = { daemon, client: connect({ address: daemon.addresses[0] ?? '' }) };
    this.members.push(member);
    return member;
  }

  /** Ends all of them, and removes the token. */
  async end(): Promise<void> {
    await Promise.all(this.members.map(({ client }) => client.close()));
    await Promise.all(this.members.map(({ daemon }) => daemon.stop()));
    this.softHsm.remove();
  }
}
