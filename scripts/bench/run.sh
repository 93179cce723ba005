#!/usr/bin/env bash
# `npm run bench`: builds the daemon and the benchmarks, then measures. Its --help says what.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/lib/setup.sh

require_packages softhsm2 nghttp2-client
bash scripts/lib/build.sh
bash scripts/lib/shim.sh
node_modules/.bin/tsc --project scripts/bench
# What is compiled finds the built daemon, the API and the shim where its sources find them.
ln -sfn ../dist ../proto ../.test .bench/
exec node .bench/scripts/bench/main.js "$@"
