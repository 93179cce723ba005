#!/usr/bin/env bash
# Makes src/generated from proto/, native/build/ and then, unless called with `generate`, dist/ from
# src/.
#
# One build runs at a time. A folder is made anew only when what it is made from has changed, beside
# its place and then renamed into it: a running daemon or test never meets half of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly LOCK_TIMEOUT_S=120

main() {
  exec {lock}<.
  flock --timeout "$LOCK_TIMEOUT_S" "$lock" || {
    echo "another build has held this folder for $LOCK_TIMEOUT_S seconds" >&2
    exit 1
  }
  # A build that was killed may have left something.
  clean
  trap clean EXIT
  generate
  sh native/build.sh
  [[ ${1:-} == generate ]] || compile
}

clean() {
  rm -rf .generated.new .generated.old .dist.new .dist.old
}

generate() {
  local inputs
  local -a protos
  inputs=$(digest proto)
  if is_made_from "$inputs" src/generated; then return; fi
  mapfile -t protos < <(cd proto && find . -name '*.proto' -printf '%P\n' | LC_ALL=C sort)
  node_modules/.bin/proto-loader-gen-types --longs=Number --enums=String --arrays \
    --grpcLib=@grpc/grpc-js --importFileExtension=.ts \
    -I proto -O .generated.new "${protos[@]}" >/dev/null
  publish "$inputs" .generated src/generated
}

compile() {
  local inputs
  inputs=$(digest src tsconfig.json)
  if is_made_from "$inputs" dist; then return; fi
  # dist/ and .dist.new lie at one depth, which keeps the paths in the source maps right.
  node_modules/.bin/tsc --outDir .dist.new
  if [[ -f .dist.new/main.js ]]; then chmod +x .dist.new/main.js; fi
  publish "$inputs" .dist dist
}

# One digest of the names and contents of files and folders, and of the tools that read them.
digest() {
  find "$@" package-lock.json scripts/lib/build.sh -type f -print0 |
    LC_ALL=C sort --zero-terminated | xargs --null sha256sum | sha256sum
}

is_made_from() {
  [[ $(cat "$2/.made-from" 2>/dev/null) == "$1" ]]
}

# publish DIGEST NAME PLACE: puts NAME.new in the place of PLACE.
publish() {
  local name=$2 place=$3
  echo "$1" >"$name.new/.made-from"
  if [[ -e $place ]]; then mv "$place" "$name.old"; fi
  mv "$name.new" "$place"
  rm -rf "$name.old"
}

main "$@"
