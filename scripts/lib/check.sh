#!/usr/bin/env bash
# Runs every check of the sources, all of them even when one fails, and says which passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The package is checked as it would be published: built.
bash scripts/lib/build.sh

failed=0
for part in types lint proto unused package; do
  printf 'check:%s ... ' "$part"
  if output=$(npm run --silent "check:$part" 2>&1); then
    echo ok
  else
    printf 'FAILED\n%s\n' "$output"
    failed=$((failed + 1))
  fi
done

if ((failed > 0)); then
  echo "$failed of the checks failed; each runs alone as \`npm run check:NAME\`"
  exit 1
fi
