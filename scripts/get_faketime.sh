#!/bin/sh
# Install libfaketime, unless the machine has it. A test uses it to set a server's clock back.
set -eu

[ -z "$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null)" ] || exit 0
exec "$(dirname "$0")/apt_get.sh" libfaketime
