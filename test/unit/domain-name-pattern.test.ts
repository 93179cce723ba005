import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isNamePattern, namePattern } from '../../src/domain/name-pattern.ts';

const nameCharacter = fc.constantFrom(...'abAB01._-');
const name = fc.string({ unit: nameCharacter, maxLength: 20 });
const pattern = fc.string({ unit: fc.oneof(nameCharacter, fc.constant('*')), maxLength: 12 });

/** The meaning of a pattern, written for clearness and not for speed. */
function matchesSlowly(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  if (pattern[0] !== '*') {
    return pattern[0] === name[0] && matchesSlowly(pattern.slice(1), name.slice(1));
  }
  const ends = Array.from({ length: name.length + 1 }, (_, end) => end);
  return ends.some((end) => matchesSlowly(pattern.slice(1), name.slice(end)));
}

describe('a pattern', () => {
  test.each([
    ['webhooks', 'webhooks', true],
    ['webhooks', 'webhooks2', false],
    ['webhooks', 'my-webhooks', false],
    ['*', 'webhooks', true],
    ['*', '', true],
    ['shop-*', 'shop-', true],
    ['shop-*', 'shop-eu', true],
    ['shop-*', 'shop', false],
    ['shop-*', 'my-shop-eu', false],
    ['*-eu', 'shop-eu', true],
    ['*-eu', 'shop-eu-2', false],
    ['shop-*-eu', 'shop--eu', true],
    ['shop-*-eu', 'shop-eu', false],
    ['a**b', 'ab', true],
    ['a*a', 'a', false],
    ['*a*b*', 'xaxbx', true],
    ['*a*b*', 'xbxax', false],
  ])('%j against %j: %s', (pattern, name, matches) => {
    const matching = namePattern(pattern);

    expect(matching(name)).toBe(matches);
  });

  test('stands for any name that it is made of, whatever its stars stand for', () => {
    fc.assert(
      fc.property(pattern, name, (pattern, name) => {
        expect(namePattern(pattern)(name)).toBe(matchesSlowly(pattern, name));
      }),
    );
  });

  test('matches what its stars were filled in with', () => {
    fc.assert(
      fc.property(pattern, fc.infiniteStream(name), (pattern, fillings) => {
        const filled = pattern.replace(/\*/g, () => fillings.next().value ?? '');

        expect(namePattern(pattern)(filled)).toBe(true);
      }),
    );
  });

  test('gives no character but the star a meaning of its own', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (text, other) => {
        const literal = text.replaceAll('*', '');
        const matching = namePattern(literal);

        expect(matching(literal)).toBe(true);
        expect(matching(other)).toBe(other === literal);
      }),
    );
  });

  test('with many stars decides on a long name at once', () => {
    const matching = namePattern(`${'*a'.repeat(31)}b`);

    expect(matching('a'.repeat(63))).toBe(false);
  });
});

describe('the characters of a pattern', () => {
  test.each(['webhooks', 'shop-*', '*', '*.eu_*', 'A'.repeat(63)])('may be %j', (text) => {
    expect(isNamePattern(text)).toBe(true);
  });

  test.each(['', 'a b', 'a+', '(a)', '[a]', 'a|b', 'a?', '^a$', 'a\\', 'a\n', 'é', 'A'.repeat(64)])(
    'may not be %j',
    (text) => {
      expect(isNamePattern(text)).toBe(false);
    },
  );
});
