import type { KeyDocument, TokenAttributesDocument } from './key-documents.ts';
import { columns, fields } from './layout.ts';

const ABSENT = '-';

/** The table's words for a version's attributes. */
const ATTRIBUTES = {
  sensitive: 'sensitive',
  extractable: 'extractable',
  alwaysSensitive: 'always sensitive',
  neverExtractable: 'never extractable',
  local: 'local',
} as const satisfies Record<keyof TokenAttributesDocument, string>;

export function keyListText(keys: readonly KeyDocument[]): string {
  return columns(
    ['NAME', 'ALGORITHM', 'PRIMARY', 'VERSIONS', 'NEWEST'],
    keys.map((key) => [
      key.name,
      key.algorithm,
      primaryText(key),
      String(key.versions.length),
      key.versions[0]?.createTime ?? ABSENT,
    ]),
  );
}

export function keyText(key: KeyDocument): string {
  const head = fields({
    name: key.name,
    algorithm: key.algorithm,
    'primary version': primaryText(key),
  });
  const versions = columns(
    ['VERSION', 'STATE', 'ALGORITHM', 'CREATED', 'ID', 'ATTRIBUTES'],
    key.versions.map((version) => [
      String(version.version),
      version.state,
      version.algorithm,
      version.createTime ?? ABSENT,
      version.id,
      attributesText(version.attributes),
    ]),
  );
  return `${head}\n${versions}`;
}

function primaryText({ primaryVersion }: KeyDocument): string {
  return primaryVersion === 0 ? ABSENT : String(primaryVersion);
}

function attributesText(attributes: TokenAttributesDocument): string {
  const words = Object.entries(ATTRIBUTES).flatMap(([name, word]) => {
    const value = attributes[name as keyof TokenAttributesDocument];
    if (value === undefined) return [];
    return value ? [word] : [`not ${word}`];
  });
  return words.join(', ') || ABSENT;
}
