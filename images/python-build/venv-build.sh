#!/bin/sh
# venv-build REQUIREMENTS: installs a hash-locked list of wheels into /opt/venv, with fixed times and byte code
# that is not checked against them. The host's certificate authorities come as the build secret
# ca-certificates and end in no layer; pip's cache is a cache mount of the calling step.
set -eu
bundle=/run/secrets/ca-certificates
if [ -s "$bundle" ]; then
    export PIP_CERT="$bundle"
fi
python -m venv --without-pip /opt/venv
/opt/build-tools/bin/pip --python /opt/venv/bin/python install --quiet --disable-pip-version-check \
    --no-compile --only-binary :all: --require-hashes --no-deps --requirement "$1"
# What pip notes about itself differs from build to build and serves nobody in an image.
find /opt/venv \( -name direct_url.json -o -name INSTALLER -o -name REQUESTED \) -delete
# Wheels come with their extensions' debugging symbols (uvloop's are 10 MB) and with their own tests. What lies in
# *.libs was relinked by its wheel, and is left as it is.
find /opt/venv -path '*.libs' -prune -o -name '*.so' -exec strip --strip-debug {} +
rm -rf /opt/venv/lib/python*/site-packages/sqlalchemy/testing /opt/venv/lib/python*/site-packages/alembic/testing
/opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib
find /opt/venv -exec touch -h -d @0 {} +
