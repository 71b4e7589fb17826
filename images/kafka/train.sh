#!/bin/sh
# One start and stop with an archive of the loaded classes at its end (AppCDS): the broker starts in half the time.
set -eu
archive=$1
export JDK_JAVA_OPTIONS="$JDK_JAVA_OPTIONS -XX:ArchiveClassesAtExit=$archive"
sed -i '/SharedArchiveFile/d' /opt/kafka/java.args
/usr/local/bin/entrypoint >/tmp/train.log 2>&1 &
broker=$!
deadline=$(($(date +%s) + 120))
until grep -q 'Kafka Server started' /tmp/train.log; do
    if [ "$(date +%s)" -gt "$deadline" ] || ! kill -0 "$broker"; then
        cat /tmp/train.log >&2
        exit 1
    fi
    sleep 0.2
done
kill -TERM "$broker"
wait "$broker" || [ $? -eq 143 ]
test -s "$archive"
