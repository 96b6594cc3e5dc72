#!/bin/sh
# Write constraints.txt: one exact version of every third-party package for each Python from 3.10 on.
#
# make_constraints.sh UV. With UPGRADE= in the environment the versions already there are kept where they can be.
set -eu
uv=$1
ours=
for package in packages/*/; do
    ours="$ours --no-emit-package $(basename "$package")"
done
upgrade=--upgrade
if [ "${UPGRADE-set}" = "" ]; then upgrade=; fi

fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
grep -v '^#' constraints.txt >"$fresh" 2>/dev/null || true
# 3.10 is the oldest Python served; --universal adds a fork where a version needs a newer one.
# shellcheck disable=SC2086
"$uv" pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate --all-extras $upgrade $ours \
    packages/*/pyproject.toml --group pyproject.toml:dev --group pyproject.toml:docs --output-file "$fresh" >/dev/null
{
    echo "# Exact versions of every third-party dependency, for Python 3.10 and newer. Made by 'make constraints'."
    grep -v -e '^-' -e '://' "$fresh"
} >constraints.txt
