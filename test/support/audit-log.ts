import { createHmac, randomUUID } from 'node:crypto';
import { hashOf, tornHash } from '../../src/audit/line-hash.ts';
import type { AuditLineStart, EndLine } from '../../src/domain/audit-line.ts';
import { ZERO_HASH } from '../../src/domain/audit-line.ts';
import { type AuditHead, sealedLine, sealText, unsealedText } from '../../src/domain/audit-seal.ts';

/** Makes the MAC of a seal: hexadecimal. */
type MakeMac = (text: Uint8Array) => string;

/** The audit key of logs that no token seals. */
const TEST_KEY = Buffer.alloc(32, 7);

export const TEST_KEY_ID = '0a1b2c3d';

/** An HMAC-SHA-256 without a token. */
export function testMac(text: Uint8Array, key: Buffer = TEST_KEY): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

/** Writes an audit log as a daemon does. */
export class LogMaker {
  readonly log = randomUUID();
  readonly lines: string[] = [];
  /** The newest seal. */
  head: AuditHead | undefined;
  readonly #makeMac: MakeMac;
  readonly #auditKey: string;
  #boot = randomUUID();
  #seq = 0;
  #prev = ZERO_HASH;

  constructor(makeMac: MakeMac = testMac, auditKey = TEST_KEY_ID) {
    this.#makeMac = makeMac;
    this.#auditKey = auditKey;
  }

  start(): this {
    this.#boot = randomUUID();
    const { log } = this;
    this.#write({ kind: 'start', version: '0.1.0', log, auditKey: this.#auditKey });
    return this.seal();
  }

  /** A Sign, or what is told instead. */
  end(said: Partial<Omit<EndLine, keyof AuditLineStart>> = {}): this {
    const { request = `r-${this.#seq}`, trace, client = 'shop', peer, operation = 'Sign' } = said;
    const { key = 'webhooks', version, outcome = 'OK', valid, items, failed, latencyUs } = said;
    return this.#write({
      ...{ kind: 'end', request, trace, client, peer, operation, key, version },
      ...{ outcome, valid, items, failed, latencyUs },
    });
  }

  seal(): this {
    const unsealed = unsealedText({ ...this.#lineStart(), kind: 'seal' });
    this.#add(sealedLine(unsealed, this.#makeMac(sealText(unsealed))));
    this.head = { seq: this.#seq, hash: this.#prev };
    return this;
  }

  stop(): this {
    this.#write({ kind: 'stop' });
    return this.seal();
  }

  /** What a daemon leaves that is killed while it writes; the next one ends it with an LF. */
  tear(text = '{"seq":'): this {
    this.#add(text, tornHash(this.#prev).update(text).digest('hex'));
    return this;
  }

  /** The bytes of the file. */
  bytes(from = 0, to = this.lines.length): Buffer {
    return fileOf(this.lines.slice(from, to));
  }

  #write(said: object): this {
    this.#add(JSON.stringify({ ...this.#lineStart(), ...said }));
    return this;
  }

  #lineStart(): AuditLineStart {
    const time = new Date(Date.UTC(2026, 0, 1) + this.#seq * 1_000).toISOString();
    return { seq: this.#seq + 1, prev: this.#prev, time, boot: this.#boot };
  }

  #add(line: string, hash = hashOf(line)): void {
    this.lines.push(line);
    this.#seq += 1;
    this.#prev = hash;
  }
}

/** The bytes of a file with these lines. */
export function fileOf(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line}\n`).join(''));
}
