import type { Duplex } from 'node:stream';

/** More than any message has. */
const MAX_MESSAGE_BYTES = 256 * 1024;

const NEWLINE = 0x0a;

export interface ControlEvents {
  readonly onMessage: (message: unknown) => void;
  /** Told once: the other end writes what is no message. Nothing more is read. */
  readonly onNonsense: () => void;
  readonly onClose?: () => void;
}

/**
 * Messages in JSON, each on a line of its own, between the front and a host process. Node's own channel
 * throws where nobody can catch it when the other end writes something else: a host whose module has
 * lost its mind would end the front.
 */
export class ControlChannel {
  readonly #pipe: Duplex;
  readonly #events: ControlEvents;
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #isBroken = false;

  constructor(pipe: Duplex, events: ControlEvents) {
    this.#pipe = pipe;
    this.#events = events;
    pipe.on('data', (chunk: Buffer) => this.#receive(chunk));
    // What breaks it closes it.
    pipe.on('error', () => undefined);
    pipe.on('close', () => events.onClose?.());
    pipe.on('end', () => pipe.destroy());
  }

  /** @param onSent told when it has left this process, or never will */
  send(message: object, onSent: () => void = () => undefined): void {
    this.#pipe.write(`${JSON.stringify(message)}\n`, () => onSent());
  }

  close(): void {
    this.#pipe.destroy();
  }

  #receive(chunk: Buffer): void {
    let rest = chunk;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      this.#keep(rest.subarray(0, end));
      this.#take();
      rest = rest.subarray(end + 1);
    }
    this.#keep(rest);
  }

  #keep(bytes: Buffer): void {
    if (this.#isBroken) return;
    this.#partial.push(bytes);
    this.#partialBytes += bytes.byteLength;
    if (this.#partialBytes > MAX_MESSAGE_BYTES) this.#break();
  }

  #take(): void {
    if (this.#isBroken) return;
    const line = Buffer.concat(this.#partial).toString('utf8');
    this.#partial = [];
    this.#partialBytes = 0;
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.#break();
      return;
    }
    this.#events.onMessage(message);
  }

  #break(): void {
    this.#isBroken = true;
    this.#partial = [];
    this.#events.onNonsense();
  }
}
