#!/bin/sh
# cds-train ARGUMENT_FILE ARCHIVE PROBE COMMAND...: one start and orderly stop of COMMAND, after which
# ARCHIVE holds the classes that it loaded (AppCDS). PROBE is a shell command that succeeds when it is up.
# Meant for a stage of its own: the archive's line is taken out of ARGUMENT_FILE while it is made.
set -eu
arguments=$1 archive=$2 probe=$3
shift 3
sed -i '/SharedArchiveFile/d' "$arguments"
export JDK_JAVA_OPTIONS="$JDK_JAVA_OPTIONS -XX:ArchiveClassesAtExit=$archive"
"$@" >/tmp/train.log 2>&1 &
server=$!
deadline=$(($(date +%s) + 180))
until sh -c "$probe"; do
    if [ "$(date +%s)" -gt "$deadline" ] || ! kill -0 "$server"; then
        cat /tmp/train.log >&2
        exit 1
    fi
    sleep 0.2
done
kill -TERM "$server"
wait "$server" || [ $? -eq 143 ]
test -s "$archive"
touch -d @0 "$archive"
