#!/bin/sh
# Writes the node's configuration, formats an unformatted log directory, then becomes the broker (PID 1).
# kafka-run CLASS ARGUMENT... (the same file, linked) runs one of Kafka's own tools.
set -eu

if [ "$(basename "$0")" = kafka-run ]; then
    exec java @/opt/kafka/java.args "$@"
fi

properties=/tmp/server.properties
cp /etc/kafka/server.properties "$properties"
for name in $(env | sed -n 's/^\(KAFKA_CFG_[A-Z0-9_]*\)=.*/\1/p'); do
    key=$(printf %s "${name#KAFKA_CFG_}" | sed 's/__/-/g; s/_/./g; s/-/_/g' | tr '[:upper:]' '[:lower:]')
    eval "value=\$$name"
    printf '%s=%s\n' "$key" "$value" >>"$properties"
done

# The last line of a key counts, as it does for the broker.
log_dir=$(sed -n 's/^log\.dirs=\([^,]*\).*/\1/p' "$properties" | tail -n 1)
mkdir -p "$log_dir"
# The tool writes meta.properties last: a container killed half-way formats again.
if [ ! -e "$log_dir/meta.properties" ]; then
    java @/opt/kafka/java.args kafka.tools.StorageTool format --ignore-formatted \
        --cluster-id "$KAFKA_CLUSTER_ID" --config "$properties"
fi
# The agent is the broker's alone: the tools above must not listen on its port.
agent=${KAFKA_METRICS_PORT:+-javaagent:/opt/kafka/agent/jmx_prometheus_javaagent.jar=$KAFKA_METRICS_PORT:/etc/kafka/metrics.yml}
exec java $agent @/opt/kafka/java.args kafka.Kafka "$properties"
