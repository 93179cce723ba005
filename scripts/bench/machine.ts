import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';

/** Where and when figures were made: without it they say nothing. */
export interface Machine {
  readonly date: string;
  readonly cores: number;
  readonly cpu: string;
  readonly kernel: string;
  readonly node: string;
  readonly softHsm: string;
  readonly h2load: string;
  /** Processes that wanted a core on average over the last minute; above 1, others disturb. */
  readonly loadAverage: number;
}

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    cores: processors.length,
    cpu: processors[0]?.model.trim() ?? 'unknown',
    kernel: release(),
    node: process.versions.node,
    softHsm: versionOf('softhsm2-util'),
    h2load: versionOf('h2load').replace(/^.*\//, ''),
    loadAverage: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

/** The same in two lines. */
export function machineSummary(machine: Machine): [hardware: string, software: string] {
  const { date, cores, cpu, kernel, node, softHsm, h2load, loadAverage } = machine;
  const day = date.slice(0, 'YYYY-MM-DD'.length);
  return [
    `${day}, ${cores}-core ${cpu}, load average before ${loadAverage}`,
    `Linux ${kernel}, Node.js ${node}, SoftHSM ${softHsm}, h2load ${h2load}`,
  ];
}

function versionOf(program: string): string {
  return execFileSync(program, ['--version'], { encoding: 'utf8', timeout: 5_000 }).trim();
}
