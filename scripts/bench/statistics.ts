/** @throws {RangeError} when there are no values */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (at(sorted, Math.ceil(middle) - 1) + at(sorted, Math.floor(middle))) / 2;
}

/**
 * The smallest value that at least this share of all values does not exceed.
 *
 * @param sorted ascending
 * @param share above 0, at most 1
 * @throws {RangeError} when there are no values
 */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return at(sorted, Math.ceil(sorted.length * share) - 1);
}

/**
 * How many times faster the first was: the median of each round's ratio. The rounds' speeds may
 * differ for reasons that are not the subjects', which hit both sides of one round alike.
 *
 * @throws {RangeError} when there are no rounds, or not as many on both sides
 */
export function medianRatio(rounds: readonly number[], reference: readonly number[]): number {
  return median(rounds.map((value, round) => value / at(reference, round)));
}

function at(values: ArrayLike<number>, index: number): number {
  const value = values[index];
  if (value === undefined) throw new RangeError('there are not enough values');
  return value;
}
