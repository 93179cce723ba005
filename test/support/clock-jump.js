// Loaded into a process before its own code: its wall clock is off by as many ms as the file says that
// SIGILD_TEST_CLOCK_FILE names, from each SIGUSR2 on.
import { readFileSync } from 'node:fs';

const RealDate = Date;
let offsetMs = 0;

process.on('SIGUSR2', () => {
  offsetMs = Number(readFileSync(process.env['SIGILD_TEST_CLOCK_FILE'] ?? '', 'latin1'));
});

globalThis.Date = class extends RealDate {
  constructor(...parts) {
    super(...(parts.length === 0 ? [RealDate.now() + offsetMs] : parts));
  }

  static now() {
    return RealDate.now() + offsetMs;
  }
};
