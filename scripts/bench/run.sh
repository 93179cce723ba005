#!/usr/bin/env bash
# `npm run bench`: builds the daemon and the benchmarks, then measures. Its --help says what.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/lib/setup.sh

require_packages softhsm2 nghttp2-client p11-kit gcc libc6-dev
bash scripts/lib/build.sh
bash scripts/lib/shim.sh
node_modules/.bin/tsc --project scripts/bench
gcc -std=gnu11 -O2 -Wall -Wextra -pthread -Itest/support/pkcs11-shim \
  -o .bench/cryptoki-load scripts/bench/cryptoki-load.c -ldl
# What is compiled finds the built daemon, the API and the shim where its sources find them.
ln -sfn ../dist ../proto ../.test .bench/
exec node .bench/scripts/bench/main.js "$@"
