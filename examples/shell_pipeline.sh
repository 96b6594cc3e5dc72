#!/usr/bin/env bash
# Which words do the free licences share? Four steps in the shell; run it twice: the second time nothing is computed.
#
#     SEAMLESS_CACHE=/tmp/cache bash shell_pipeline.sh
#
# Each line of the story on standard error says hit or miss.
set -euo pipefail
: "${SEAMLESS_CACHE:?is not set. Name a directory for the cache: export SEAMLESS_CACHE=/tmp/cache}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

step() { seamless-run -v "$@" 2> >(grep -E 'hit: |miss: ' | cut -c 1-40 >&2); }

for name in Apache-2.0 GPL-3 MPL-2.0; do
    cp "/usr/share/common-licenses/$name" "$name.txt"
    step -c "tr -cs '[:alpha:]' '\\n' < $name.txt | tr A-Z a-z | sort -u > $name.words"
done
step -i MPL-2.0.words -c 'comm -12 Apache-2.0.words GPL-3.words | comm -12 - MPL-2.0.words > shared.words'
wc -l < shared.words
