import { stat } from 'node:fs/promises';

/** Often enough for an operator who waits, and no work to speak of. */
const INTERVAL_MS = 1_000;

/**
 * Looks at files again and again: by their names, so that it also sees one that is renamed over
 * another and a symbolic link that leads elsewhere, and on file systems that tell of no change.
 *
 * @param files paths; they need not exist
 * @param onSettled told once that the files have not changed for an interval, and again after each
 *   change when they have not changed any more for an interval, so that a file is rarely seen half
 *   written
 * @returns ends it
 */
export function watchFiles(
  files: readonly string[],
  onSettled: () => void,
  intervalMs = INTERVAL_MS,
): () => void {
  let seen = '';
  let told = '';
  let timer: NodeJS.Timeout;
  let stopped = false;
  const look = async () => {
    const found = (await Promise.all(files.map(stamp))).join();
    if (stopped) return;
    if (found === seen && found !== told) {
      told = found;
      onSettled();
    }
    seen = found;
    timer = setTimeout(look, intervalMs);
  };
  timer = setTimeout(look, intervalMs);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Is another one when the file's content, place or permissions may be others. */
async function stamp(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  }
}
