#!/bin/sh
# Makes this service's own virtual environment; does nothing when it is up to date.
# `sh build.sh test` adds what the tests need: .venv/bin/python -m pytest
set -eu
cd "$(dirname "$0")"
wanted="requirements.txt"
if [ "${1:-}" = test ]; then wanted="requirements.txt requirements-test.txt"; fi
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "this service needs Python 3.10 or newer; set PYTHON to one" >&2; exit 1; }
stamp="$("$python" -V) $(cat $wanted | cksum)"
if [ -x .venv/bin/python ] && grep -qxF "$stamp" .venv/built 2>/dev/null; then exit 0; fi
"$python" -m venv .venv
for file in $wanted; do
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$file"
done
echo "$stamp" >> .venv/built
