#!/bin/sh
# settle DIRECTORY...: one fixed time and one fixed mode for every entry, so that equal content gives an equal layer.
set -eu
find "$@" -type d -exec chmod 0755 {} +
find "$@" -type f -exec chmod a+rX,go-w {} +
find "$@" -exec touch -h -d @0 {} +
