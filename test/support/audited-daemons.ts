import { join } from 'node:path';
import type { AuditLine, EndLine } from '../../src/domain/audit-line.ts';
import { connectClient, type TestClient } from './client.ts';
import { baseConfig, type Daemon, type DaemonOptions, EVERYTHING, startDaemon } from './daemon.ts';
import { createSoftHsm, type SoftHsm } from './softhsm.ts';

/** Of calls on a machine that is busy with tests. */
const CLIENT_LIMIT_MS = 30_000;

/** Daemons on one SoftHSM that keep one audit log, one after the other. */
export class AuditedDaemons {
  readonly softHsm: SoftHsm = createSoftHsm();
  readonly file = join(this.softHsm.directory, 'audit.log');
  readonly #daemons: Daemon[] = [];
  readonly #closing: { close(): void }[] = [];

  /** For the clients `test`, who may do everything, and `other`, on a listener of its own. */
  config(audit: object = {}): Record<string, unknown> {
    const { listeners } = baseConfig(this.softHsm) as { listeners: object[] };
    const unix = join(this.softHsm.directory, 'other.sock');
    return {
      audit: { file: this.file, ...audit },
      listeners: [...listeners, { unix, mode: '0600', client: 'other' }],
      clients: [
        { name: 'test', grants: EVERYTHING },
        { name: 'other', grants: [{ keys: ['key'], operations: ['getKey'] }] },
      ],
      keys: { minDestroyDelayMs: 0, minRotationPeriodMs: 1_000, refreshIntervalMs: 1_000 },
    };
  }

  /** @param audit what differs from the defaults */
  async start(audit: object = {}, options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = await startDaemon(this.softHsm, { config: this.config(audit), ...options });
    this.#daemons.push(daemon);
    return daemon;
  }

  /** @param listener 2 for the client `other` */
  client({ addresses }: Daemon, listener = 0): TestClient {
    return this.closing(connectClient(addresses[listener] ?? '', undefined, CLIENT_LIMIT_MS));
  }

  /** Has a client closed in the end. */
  closing<Closing extends { close(): void }>(client: Closing): Closing {
    this.#closing.push(client);
    return client;
  }

  async end(): Promise<void> {
    for (const client of this.#closing) client.close();
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()));
    this.softHsm.remove();
  }
}

export function endsOf(lines: readonly AuditLine[]): EndLine[] {
  return lines.filter((line): line is EndLine => line.kind === 'end');
}
