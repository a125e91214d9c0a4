#!/bin/sh
# Builds the service into dist/. SQLite comes with its driver as C, and takes half a minute with optimisation and a few seconds without.
set -eu
cd "$(dirname "$0")"
CGO_ENABLED=1 CGO_CFLAGS="${CGO_CFLAGS:--O0}" go build -buildvcs=false -o dist/service .
