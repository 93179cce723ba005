// Signs as the process of another user: ADDRESS UID GID GROUP... Prints the client's reason for a
// failure, or `signed`.
import { connect } from '../../dist/client/client.js';

const DEADLINE_MS = { signed: 20_000, refused: 1_500 };

const [address, expected, uid, gid, ...groups] = process.argv.slice(2);
process.setgroups(groups.map(Number));
process.setgid(Number(gid));
process.setuid(Number(uid));
const client = connect({ address, deadlineMs: DEADLINE_MS[expected] });
const outcome = await client
  .key('adopted-key')
  .sign(Buffer.from('data'))
  .then(
    () => 'signed',
    (error) => error.reason,
  );
await client.close();
process.stdout.write(outcome);
