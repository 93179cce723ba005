import { CryptokiError } from './ck-rv.ts';
import type { KeyLocations, Location } from './key-locations.ts';
import { KeyObjects } from './key-objects.ts';
import type { Session } from './session.ts';

/**
 * Finds out where every key stands, one key a step, so that its thread can do other things in
 * between. After the last step the locations are there.
 *
 * It ends early where the token refuses: then each session looks for its keys itself.
 */
export function* surveyKeys(
  session: Session,
  locations: KeyLocations,
): Generator<undefined, undefined> {
  const objects = new KeyObjects([]);
  const found: Location[] = [];
  try {
    for (const handle of objects.handles(session)) {
      const version = objects.readName(session, handle);
      if (version) found.push({ version, handle });
      yield;
    }
    locations.take(found);
    locations.complete();
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
  }
}
