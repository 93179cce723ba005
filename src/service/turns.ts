/** Lets work on one name happen in turn, in order of arrival; other names do not wait for it. */
export class Turns {
  /** The last work for each name that is under way. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** @returns what the work does, when all that was given for this name before has ended */
  async take<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#last.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}
