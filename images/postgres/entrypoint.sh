#!/bin/sh
# Makes the cluster at the first start, then becomes the server, which is PID 1 from then on.
# The cluster is made beside its final place and renamed: a container killed half-way starts over.
set -eu
umask 077

fail() {
    echo "entrypoint: $1" >&2
    exit 64
}

password() {
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        cat "$POSTGRES_PASSWORD_FILE"
    elif [ -n "${POSTGRES_PASSWORD:-}" ]; then
        printf '%s' "$POSTGRES_PASSWORD"
    else
        fail "the first start needs POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"
    fi
}

run_scripts() { # SQL files see the database as its owner does; no TCP until they are through
    database=$1
    psql="psql -q -X -v ON_ERROR_STOP=1 -h $socket_dir -U $user"
    [ "$database" = postgres ] || $psql -d postgres -v name="$database" <"$new/create.sql"
    for script in /docker-entrypoint-initdb.d/*.sql; do
        [ -e "$script" ] || continue
        echo "entrypoint: running $script" >&2
        $psql -d "$database" -f "$script"
    done
}

initialise() {
    user=${POSTGRES_USER:-postgres}
    new=$PGDATA.new
    rm -rf "$new"
    mkdir "$new" || fail "cannot write to $(dirname "$PGDATA"): mount a directory of uid $(id -u) there"
    secret=$(password)
    printf '%s\n' "$secret" >"$new/password"
    # A here-string by hand: psql only interpolates :"name" in a script, not in -c.
    printf '%s\n' 'CREATE DATABASE :"name";' >"$new/create.sql"
    initdb -D "$new/data" --username="$user" --pwfile="$new/password" --data-checksums \
        --encoding=UTF8 --auth-local=trust --auth-host=scram-sha-256 --no-instructions >/dev/null
    printf '%s\n' 'host all all all scram-sha-256' 'host replication all all scram-sha-256' \
        >>"$new/data/pg_hba.conf"
    pg_ctl -D "$new/data" -w -s -l "$new/log" -o "-c listen_addresses='' -c archive_mode=off" start ||
        { cat "$new/log" >&2; fail "the new cluster does not start"; }
    run_scripts "${POSTGRES_DB:-$user}" || { pg_ctl -D "$new/data" -w -s -m fast stop; fail "a script failed"; }
    pg_ctl -D "$new/data" -w -s -m fast stop
    [ ! -d "$PGDATA" ] || rmdir "$PGDATA" ||
        fail "$PGDATA must not be a mount point: mount $(dirname "$PGDATA") instead"
    mv "$new/data" "$PGDATA"
    rm -rf "$new"
}

socket_dir=/var/lib/postgresql/run
if [ "${1:-}" = postgres ]; then
    trap 'exit 143' TERM INT
    mkdir -p "$socket_dir" || fail "/var/lib/postgresql is not writable for uid $(id -u)"
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        [ ! -d "$PGDATA" ] || [ -z "$(ls -A "$PGDATA")" ] || fail "$PGDATA holds something that is no cluster"
        initialise
    fi
    unset POSTGRES_PASSWORD
fi
exec "$@"
