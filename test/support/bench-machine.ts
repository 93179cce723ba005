import type { Machine } from '../../scripts/bench/machine.ts';

/** A machine that no benchmark has run on. */
export const MACHINE: Machine = {
  date: '2026-01-01T00:00:00.000Z',
  cores: 2,
  cpu: 'processor',
  kernel: '6.1',
  node: '20.0.0',
  softHsm: '2.6.1',
  h2load: '1.52.0',
  loadAverage: 0.5,
};
