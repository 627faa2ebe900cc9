#!/bin/sh
# Install a package of Debian's for the tests, where we may: as root, and where there is apt-get.
# Elsewhere nothing is done: the test that needs it then says so.
set -eu

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
echo "installing $1 …"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq --yes --no-install-recommends "$1" >/dev/null; }
install "$1" 2>/dev/null || { apt-get update -qq && install "$1"; }
