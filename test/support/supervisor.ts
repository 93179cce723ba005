import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const UNIT = join(import.meta.dirname, '../../systemd/sigild.service');

/** What a supervised program's last run ended with, and how many runs there were. */
export interface Supervised<Run> {
  readonly runs: number;
  readonly last: Run;
}

/** The exit statuses after which the unit has systemd start the daemon no more. */
function finalStatuses(): readonly number[] {
  const [, statuses = ''] =
    /^RestartPreventExitStatus=(.*)$/m.exec(readFileSync(UNIT, 'utf8')) ?? [];
  return statuses.split(' ').map(Number);
}

/**
 * Runs a program again whenever it has failed, as systemd would with `Restart=on-failure` and the
 * unit's `RestartPreventExitStatus`, without a pause.
 *
 * @param run starts it and waits for its end
 */
export async function supervise<Run extends { readonly exit: number | string }>(
  run: () => Promise<Run>,
  maxRestarts: number,
): Promise<Supervised<Run>> {
  const isFinal = ({ exit }: Run) => exit === 0 || finalStatuses().includes(Number(exit));
  let last = await run();
  let runs = 1;
  while (!isFinal(last) && runs <= maxRestarts) {
    last = await run();
    runs += 1;
  }
  return { runs, last };
}
