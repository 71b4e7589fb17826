#!/bin/bash
# Import an archive of images into the store of a node image that is being made, and lay their files aside.
#
#   preload.sh ARCHIVE SCRATCH LAYER_DIGEST...   runs in a container of the node image, which is committed afterwards
#
# kind gives every node a volume for /var, and the engine fills it with a copy of the image's /var. The files of the
# unpacked images are 700 MB and more; they stay outside of /var, and the entry point mounts them where containerd looks.
#
# The store is filled in SCRATCH, a volume: to unpack a second layer is to mount an overlay that is written to, and
# that cannot be done on the overlay that the container itself lives on.
set -o errexit -o nounset -o pipefail -o monitor

readonly ARCHIVE=$1 SCRATCH=$2 LAYER_DIGESTS=("${@:3}")
readonly STORE=/var/lib/containerd
readonly SNAPSHOTS=${SCRATCH}/io.containerd.snapshotter.v1.overlayfs/snapshots
readonly BLOBS=${SCRATCH}/io.containerd.content.v1.content/blobs
readonly ASIDE=/kind/preloaded

mkdir -p "${STORE}" "${ASIDE}"
cp -a "${STORE}/." "${SCRATCH}"
containerd --root "${SCRATCH}" > /tmp/containerd.log 2>&1 &
for _ in $(seq 100); do ctr version > /dev/null 2>&1 && break; sleep 0.1; done
ctr -n k8s.io images import --all-platforms --digests "${ARCHIVE}"
# containerd 1.6 needs only the unpacked layers to run an image.
for digest in "${LAYER_DIGESTS[@]}"; do
  # What it does not find, `content rm` passes over, and the layer would stay in the volume of every node.
  [[ -e ${BLOBS}/${digest/://} ]] || { echo "containerd has no layer ${digest}" >&2; exit 1; }
  ctr -n k8s.io content rm "${digest}"
done
kill -TERM %1 && wait %1

for files in "${SNAPSHOTS}"/*/fs; do
  aside=${ASIDE}/$(basename "$(dirname "${files}")")
  # Those of the image below are aside already.
  if [[ ! -e ${aside} ]]; then
    mv "${files}" "${aside}"
    mkdir "${files}"
  fi
done
for digest in "${LAYER_DIGESTS[@]}"; do
  rm -f "${BLOBS}/${digest/://}"
done
rm -rf "${SCRATCH}"/tmpmounts/* "${STORE}" /tmp/* /run/containerd /var/log/*
cp -a "${SCRATCH}" "${STORE}"
