#!/bin/bash
# Import an archive of images into the store of a node image that is being made, and lay their files aside.
#
#   preload.sh ARCHIVE LAYER_DIGEST     runs in a container of the node image, which is committed afterwards
#
# kind gives every node a volume for /var, and the engine fills it with a copy of the image's /var. The files of the
# unpacked images are 700 MB; they stay outside of /var, and the entry point mounts them where containerd looks.
set -o errexit -o nounset -o pipefail -o monitor

readonly ARCHIVE=$1 LAYER_DIGEST=$2
readonly STORE=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots
readonly ASIDE=/kind/preloaded

containerd > /tmp/containerd.log 2>&1 &
for _ in $(seq 100); do ctr version > /dev/null 2>&1 && break; sleep 0.1; done
ctr -n k8s.io images import --all-platforms --digests "${ARCHIVE}"
# containerd 1.6 needs only the unpacked layer to run an image.
ctr -n k8s.io content rm "sha256:${LAYER_DIGEST}"
kill -TERM %1 && wait %1

for files in "${STORE}"/*/fs; do
  snapshot=$(basename "$(dirname "${files}")")
  mkdir -p "${ASIDE}"
  mv "${files}" "${ASIDE}/${snapshot}"
  mkdir "${files}"
done
rm -rf "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/${LAYER_DIGEST}" \
  /var/lib/containerd/tmpmounts/* /tmp/* /run/containerd /var/log/*
