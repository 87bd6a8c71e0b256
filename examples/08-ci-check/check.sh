#!/bin/sh
# Checks the whole directory, and writes a report that CI systems show.
set -eu
cd "$(dirname "$0")"
mailcollector validate --strict collectors.d
mailcollector validate collectors.d --output junit > "${1:-collectors.xml}"
