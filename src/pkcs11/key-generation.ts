import { hasTwoHalves, type MacAlgorithm, type TwoHalfAlgorithm } from '../domain/algorithm.ts';
import type { NewKey } from '../service/token-values.ts';
import { nativeTemplate } from './attributes.ts';
import { ck } from './ck-rv.ts';
import type { KeySource } from './key-creation.ts';
import { KEY_PROOF, macKeyTemplate, PUBLIC_PROOF } from './key-template.ts';
import { MECHANISMS } from './mechanisms.ts';
import { PAIR_MECHANISMS } from './pair-mechanisms.ts';
import { pairTemplates } from './pair-template.ts';

/** A key that the token generates. */
export function generationOf({ name, algorithm, id }: NewKey): KeySource {
  return hasTwoHalves(algorithm)
    ? pairGeneration(algorithm, name, Buffer.from(id))
    : secretGeneration(algorithm, name, Buffer.from(id));
}

function secretGeneration(algorithm: MacAlgorithm, label: string, id: Buffer): KeySource {
  const template = macKeyTemplate({ label, id, algorithm });
  const mechanism = { mechanism: MECHANISMS[algorithm].generation.type };
  return {
    objects: [{ template, proof: KEY_PROOF }],
    make: ({ lib, handle }) => [
      ck('C_GenerateKey', () => lib.C_GenerateKey(handle, mechanism, nativeTemplate(template))),
    ],
  };
}

function pairGeneration(algorithm: TwoHalfAlgorithm, label: string, id: Buffer): KeySource {
  const templates = pairTemplates({ label, id, algorithm });
  const mechanism = { mechanism: PAIR_MECHANISMS[algorithm].generation.type };
  return {
    objects: [
      { template: templates.private, proof: KEY_PROOF },
      { template: templates.public, proof: PUBLIC_PROOF },
    ],
    make: ({ lib, handle }) => {
      const { privateKey, publicKey } = ck('C_GenerateKeyPair', () =>
        lib.C_GenerateKeyPair(
          handle,
          mechanism,
          nativeTemplate(templates.public),
          nativeTemplate(templates.private),
        ),
      );
      return [privateKey, publicKey];
    },
  };
}
