import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** The program as a user runs it. */
export const SIGILCTL = fileURLToPath(new URL('../../scripts/sigilctl.js', import.meta.url));

export interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly environment?: NodeJS.ProcessEnv;
  readonly stdin?: string | Uint8Array;
  /** What stands on descriptors 3, 4 and so on. */
  readonly descriptors?: readonly number[];
}

/** Runs sigilctl to its end, without a terminal. */
export async function sigilctl(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const { environment = process.env, stdin = '', descriptors = [] } = options;
  const child = spawn(process.execPath, [SIGILCTL, ...args], {
    env: environment,
    stdio: ['pipe', 'pipe', 'pipe', ...descriptors],
    // A session of its own has no terminal.
    detached: true,
  }) as ChildProcessWithoutNullStreams;
  child.stdin.on('error', () => undefined);
  child.stdin.end(stdin);
  const [stdout, stderr, exitCode] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    }),
  ]);
  return { exitCode, stdout, stderr };
}

/** What was seen of a run of sigilctl on a terminal of its own. */
export interface TerminalRun {
  readonly exitCode: number;
  /** All that the terminal showed. */
  readonly transcript: string;
  /** The command line and the environment of the process, as /proc shows them after the answers. */
  readonly visible: string;
  /** Whether the terminal shows what is typed when sigilctl has ended. */
  readonly echoes: boolean;
}

/**
 * Runs sigilctl on a pseudo-terminal.
 *
 * @param dialogue what to wait for and what to type then
 */
export function sigilctlOnTerminal(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  dialogue: readonly (readonly [expected: string, answer: string])[],
): TerminalRun {
  const { status, stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', TERMINAL], {
    env: environment,
    encoding: 'utf8',
    input: JSON.stringify({ argv: [process.execPath, SIGILCTL, ...args], dialogue }),
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const TERMINAL = `
import json, os, pty, select, sys, termios

LIMIT_S = 15

task = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.execv(task["argv"][0], task["argv"])

def read():
    if not select.select([terminal], [], [], LIMIT_S)[0]:
        os.kill(pid, 9)
        sys.exit("silence after " + repr(transcript))
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""

def proc(name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()

transcript, seen, visible = b"", 0, b""
for expected, answer in task["dialogue"]:
    while expected.encode() not in transcript[seen:]:
        piece = read()
        if not piece:
            sys.exit("ended after " + repr(transcript))
        transcript += piece
    seen = len(transcript)
    visible += proc("cmdline") + proc("environ")
    os.write(terminal, answer.encode())
while piece := read():
    transcript += piece
_, status = os.waitpid(pid, 0)
print(json.dumps({
    "exitCode": os.waitstatus_to_exitcode(status),
    "transcript": transcript.decode(),
    "visible": visible.decode(errors="replace"),
    "echoes": bool(termios.tcgetattr(terminal)[3] & termios.ECHO),
}))
`;
