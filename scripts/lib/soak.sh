#!/usr/bin/env bash
# Signs at 70 % load for some minutes, with a random fault each minute, and tells of each how long the
# recovery took and what the daemon uses then: test/slow/soak.test.ts, which runs for ten minutes else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

main() {
  # With fewer there is nothing to compare the last minutes with.
  if [[ $# -ne 2 || $1 != --minutes || ! $2 =~ ^[1-9][0-9]{0,4}$ || $2 -lt 5 ]]; then
    echo 'usage: npm run soak -- --minutes NUMBER, of 5 or more' >&2
    exit 64
  fi
  bash scripts/lib/build.sh
  bash scripts/lib/shim.sh
  SIGILD_SOAK_MINUTES=$2 node_modules/.bin/vitest run --project slow test/slow/soak.test.ts
}

main "$@"
