#!/usr/bin/env bash
# Makes .test/pkcs11-shim.so, a PKCS#11 module that makes faults in front of a real one, when its
# sources have changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly SOURCES=test/support/pkcs11-shim MODULE=.test/pkcs11-shim.so

main() {
  [[ ! -f $MODULE || -n $(find "$SOURCES" scripts/lib/shim.sh -newer "$MODULE") ]] || return 0
  mkdir -p .test
  NEW=$MODULE.$$
  trap 'rm -f "$NEW"' EXIT
  gcc -std=gnu11 -O2 -Wall -Wextra -fPIC -shared -fvisibility=hidden -pthread \
    -o "$NEW" "$SOURCES"/*.c -ldl
  # Renamed into its place: a process that runs on the old one goes on with it.
  mv "$NEW" "$MODULE"
}

main "$@"
