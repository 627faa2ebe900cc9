#!/bin/sh
# libfaketime, with which the tests set a server's clock back: Debian's, where we may install it.
set -eu

[ -z "$(find /usr/lib -name libfaketime.so.1 2>/dev/null)" ] || exit 0
exec "$(dirname "$0")/apt_get.sh" libfaketime
