/** How many of something each client has. */
export class Tally {
  readonly #counts = new Map<string, { count: number }>();

  of(client: string): number {
    return this.#counts.get(client)?.count ?? 0;
  }

  add(client: string): void {
    const own = this.#counts.get(client);
    if (own) own.count += 1;
    else this.#counts.set(client, { count: 1 });
  }

  remove(client: string): void {
    const own = this.#counts.get(client);
    if (!own) throw new Error('something was counted out that had not been counted in');
    own.count -= 1;
    if (own.count === 0) this.#counts.delete(client);
  }
}
