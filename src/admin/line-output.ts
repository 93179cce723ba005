import type { OutputStreams } from './output.ts';

const BATCH_CHARACTERS = 65_536;

/** Writes many lines to stdout, and holds no more of them than a batch while the reader is slow. */
export class LineOutput {
  readonly #stdout: OutputStreams['stdout'];
  #batch = '';
  #isOpen = true;

  constructor({ stdout }: OutputStreams) {
    this.#stdout = stdout;
  }

  /** Whether somebody still reads. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** @param line with its LF */
  async write(line: string): Promise<void> {
    this.#batch += line;
    if (this.#batch.length >= BATCH_CHARACTERS) await this.flush();
  }

  async flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = '';
    if (batch === '' || !this.#isOpen) return;
    await new Promise<void>((resolve) => {
      this.#stdout.write(batch, (error) => {
        if (error) this.#isOpen = false;
        resolve();
      });
    });
  }
}
