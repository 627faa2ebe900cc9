#!/bin/sh
# A browser for the tests: one that is there, or Debian's Chromium where we may install it.
# Where neither can be had nothing is done: the tests then say so.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    ! command -v "$name" >/dev/null || exit 0
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
echo "installing Chromium …"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq --yes --no-install-recommends chromium >/dev/null; }
install 2>/dev/null || { apt-get update -qq && install; }
