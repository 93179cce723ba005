const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread, as the Cryptoki calls around it do. */
export function pause(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
