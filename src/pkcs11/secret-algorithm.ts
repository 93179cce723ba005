import pkcs11js from 'pkcs11js';
import {
  type Algorithm,
  hasTwoHalves,
  MAC_ALGORITHMS,
  type MacAlgorithm,
} from '../domain/algorithm.ts';
import { AttributeReader, type Attributes, type Handle } from './attributes.ts';
import { algorithmsOf, type KeyShape, suits } from './mechanisms.ts';
import type { Session } from './session.ts';

/**
 * What a secret key is for.
 *
 * @param attributes with CKA_ALLOWED_MECHANISMS and CKA_KEY_TYPE
 * @param rule the algorithm that an adopt rule gives a key of this name
 * @returns undefined for one that no algorithm of sigild is for
 * @throws {CryptokiError}
 */
export function secretAlgorithm(
  session: Session,
  handle: Handle,
  attributes: Attributes,
  rule: Algorithm | undefined,
): MacAlgorithm | undefined {
  const adopted = rule === undefined || hasTwoHalves(rule) ? undefined : rule;
  const shape = shapeOf(session, handle, attributes, adopted);
  return claims(attributes, adopted).find((claimed) => suits(claimed, shape));
}

/** What the one mechanism is for that the token allows the key, else what an adopt rule says. */
function claims(
  attributes: Attributes,
  adopted: MacAlgorithm | undefined,
): readonly MacAlgorithm[] {
  const [mechanism, ...others] = attributes.numbers(pkcs11js.CKA_ALLOWED_MECHANISMS) ?? [];
  if (mechanism !== undefined) return others.length === 0 ? algorithmsOf(mechanism) : [];
  return adopted === undefined ? [] : [adopted];
}

/** Only of AES keys the length counts, and not every type of key has the attribute. */
function shapeOf(
  session: Session,
  handle: Handle,
  attributes: Attributes,
  adopted: MacAlgorithm | undefined,
): KeyShape {
  const keyType = attributes.number(pkcs11js.CKA_KEY_TYPE);
  if (keyType !== pkcs11js.CKK_AES) return { keyType, valueBytes: undefined };
  const length = new AttributeReader().read(session, handle, [pkcs11js.CKA_VALUE_LEN]);
  const valueBytes = length.number(pkcs11js.CKA_VALUE_LEN);
  if (valueBytes) return { keyType, valueBytes };
  // SoftHSM 2.6 gives 0 for a key that was unwrapped: there an adopt rule says what it is for.
  return { keyType, valueBytes: adopted && MAC_ALGORITHMS[adopted].keyBytes };
}
