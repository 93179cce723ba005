import type { Key } from '../domain/key.ts';
import type { ChangingServices, DryRuns } from '../service/dry-runs.ts';

/** Does what a request asks for, or only tries it. @returns the key as it is then, or would be */
export type Change = (
  request: { readonly dryRun?: boolean },
  work: (services: ChangingServices) => Promise<Key>,
) => Promise<Key>;

export function changer(services: ChangingServices, dryRuns: Pick<DryRuns, 'change'>): Change {
  return ({ dryRun }, work) => (dryRun ? dryRuns.change(work) : work(services));
}
