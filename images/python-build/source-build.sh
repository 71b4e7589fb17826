#!/bin/sh
# source-build FOLDER: compiles a service's source in place and gives every file one fixed time.
set -eu
python -m compileall -q --invalidation-mode unchecked-hash "$1"
find "$1" -exec touch -h -d @0 {} +
