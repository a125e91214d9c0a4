#!/bin/sh
# Makes these tests' own virtual environment; does nothing when it is up to date. Then: .venv/bin/python -m pytest
set -eu
cd "$(dirname "$0")"
python="${PYTHON:-python3}"
stamp="$("$python" -V) $(cksum < requirements-test.txt)"
if [ -x .venv/bin/python ] && grep -qxF "$stamp" .venv/built 2>/dev/null; then exit 0; fi
"$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
echo "$stamp" > .venv/built
