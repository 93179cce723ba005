import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Arguments, UsageError } from './arguments.ts';
import { chartSvg } from './chart.ts';
import type { Machine } from './machine.ts';
import { readmePart, withParts } from './readme-section.ts';
import type { Outcome, Scenario } from './scenario.ts';
import { scenarioChart } from './scenario-chart.ts';
import { SCENARIOS } from './scenarios.ts';

/** The files that outcomes are put into. */
export class ResultFiles {
  readonly #wanted: Arguments;

  /** @throws {UsageError} when the outcome of a measurement could not be put there */
  constructor(wanted: Arguments) {
    this.#wanted = wanted;
    const { charts, readme } = wanted;
    try {
      if (charts !== undefined) mkdirSync(charts, { recursive: true });
      if (readme !== undefined) updateReadme(readme, new Map());
    } catch (error) {
      throw new UsageError(error instanceof Error ? error.message : String(error));
    }
  }

  /** Puts an outcome into the files that are wanted, and leaves there what is of other scenarios. */
  write(scenario: Scenario, machine: Machine, outcome: Outcome): void {
    const { charts, readme } = this.#wanted;
    if (charts !== undefined) {
      const svg = chartSvg(scenarioChart(scenario, machine, outcome));
      writeFileSync(join(charts, `${scenario.name}.svg`), svg);
    }
    if (readme !== undefined) {
      const part = readmePart(scenario, machine, outcome, this.#wanted);
      updateReadme(readme, new Map([[scenario.name, part]]));
    }
  }
}

function updateReadme(file: string, made: ReadonlyMap<string, string>): void {
  const order = SCENARIOS.map(({ name }) => name);
  writeFileSync(file, withParts(readFileSync(file, 'utf8'), made, order));
}
