#!/bin/sh
# Install libfaketime, with which a test sets a server's clock back, unless the machine has it.
set -eu

[ -z "$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null)" ] || exit 0
exec "$(dirname "$0")/apt_get.sh" libfaketime
