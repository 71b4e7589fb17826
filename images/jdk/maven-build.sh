#!/bin/sh
# maven-build GOAL...: runs Maven in batch mode on ./pom.xml, trusting the host's certificate authorities.
# The bundle comes as the build secret ca-certificates and ends in no layer; the local repository is
# a cache mount of the calling step.
set -eu
bundle=/run/secrets/ca-certificates
trust=$(mktemp -u)
if [ -s "$bundle" ]; then
    java -XX:TieredStopAtLevel=1 /usr/local/lib/TrustStore.java "$bundle" "$trust"
    set -- "-Djavax.net.ssl.trustStore=$trust" -Djavax.net.ssl.trustStorePassword=changeit "$@"
fi
status=0
mvn -B -q -ntp -Dmaven.repo.local=/var/cache/maven -Dstyle.color=never "$@" || status=$?
rm -f "$trust"
exit "$status"
