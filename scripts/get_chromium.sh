#!/bin/sh
# A browser for the tests: one that is there, or Debian's Chromium where we may install it.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    ! command -v "$name" >/dev/null || exit 0
done
exec "$(dirname "$0")/apt_get.sh" chromium
