#!/bin/sh
# Fetches real documents from Debian's documentation packages into .documents/, without installing anything: a package
# is an archive, and some machines are told not to install documentation at all.
set -eu
cd "$(dirname "$0")"
packages="debian-faq debian-policy developers-reference maint-guide nodejs-doc shared-mime-info"
if [ -e .documents/complete ]; then exit 0; fi
command -v apt-get >/dev/null || { echo "the documents come from Debian's packages: apt-get is needed" >&2; exit 1; }
rm -rf .documents
mkdir -p .documents/packages
cd .documents/packages
# shellcheck disable=SC2086 # a list of words
if ! apt-get download --quiet --quiet $packages 2>/dev/null; then
  # The lists of packages may be missing or old.
  if [ "$(id -u)" = 0 ]; then apt-get update --quiet --quiet; else sudo -n apt-get update --quiet --quiet; fi
  apt-get download --quiet --quiet $packages
fi
for package in *.deb; do dpkg-deb --extract "$package" ../tree; done
cd ..
rm -rf packages
touch complete
