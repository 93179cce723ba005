#!/bin/sh
# Makes native/build/process.node of native/process.c, when that has changed. It needs a C compiler and
# Node's headers. Where one is missing it says so, and sigild does without.
set -eu
cd "$(dirname "$0")"

SOURCE=process.c
ADDON=build/process.node

main() {
  [ "$(uname)" = Linux ] || give_up 'this is not Linux'
  if [ -n "$(find "$ADDON" -newer "$SOURCE" -newer build.sh 2>/dev/null)" ]; then return; fi
  command -v cc >/dev/null || give_up 'there is no C compiler (cc)'
  headers=$(headers_of_node) || give_up "Node's headers (node_api.h) are not there"
  mkdir -p build
  new=$ADDON.$$
  trap 'rm -f "$new"' EXIT
  cc -std=gnu11 -O2 -Wall -Wextra -fPIC -shared -fvisibility=hidden \
    -DNAPI_VERSION=8 -DNODE_GYP_MODULE_NAME=process -I"$headers" -o "$new" "$SOURCE" ||
    give_up 'the compiler failed'
  # Renamed into its place: a process that runs with the old one goes on with it.
  mv "$new" "$ADDON"
}

# Where the archives of nodejs.org have them, or Debian's libnode-dev.
headers_of_node() {
  prefix=$(node -p 'path.dirname(path.dirname(fs.realpathSync(process.execPath)))')
  for folder in "$prefix/include/node" /usr/include/node /usr/include/nodejs/src; do
    if [ -f "$folder/node_api.h" ]; then
      echo "$folder"
      return
    fi
  done
  return 1
}

give_up() {
  echo "sigild: its native part was not built, as $1: sigild runs without it, but knows no" \
    'peers of unix sockets' >&2
  exit 0
}

main
