import { audit } from './audit.ts';
import { footprint } from './footprint.ts';
import { keys } from './keys.ts';
import { latency } from './latency.ts';
import { pipeline } from './pipeline.ts';
import type { Scenario } from './scenario.ts';
import { slowToken } from './slow-token.ts';
import { soak } from './soak.ts';
import { unary } from './unary.ts';

/** Everything that can be measured, in the order in which it is. */
export const SCENARIOS: readonly Scenario[] = [
  unary,
  pipeline,
  audit,
  latency,
  slowToken,
  keys,
  footprint,
  soak,
];
