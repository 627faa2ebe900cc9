#!/bin/sh
# Install Debian's Chromium for the browser tests, unless the machine has a browser.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    ! command -v "$name" >/dev/null || exit 0
done
exec "$(dirname "$0")/apt_get.sh" chromium
