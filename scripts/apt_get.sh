#!/bin/sh
# Install a Debian package that a test needs, as root on Debian. Do nothing on other systems: the
# test then reports the missing program.
set -eu

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
echo "installing $1 …"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq --yes --no-install-recommends "$1" >/dev/null; }
install "$1" 2>/dev/null || { apt-get update -qq && install "$1"; }
