import { Option } from 'commander';
import { integer } from './invocation.ts';

const MAX_FD = 65_535;

/** An option that names a descriptor to read a PIN from. @param conflict the other place for it */
export function fdOption(flags: string, description: string, conflict: string): Option {
  return new Option(flags, description).argParser(integer(0, MAX_FD)).conflicts(conflict);
}
