#!/bin/sh
# Backs up both stores at one state: docs/operations/backup.md.
#
#   backup.sh DIRECTORY
#
# DATABASE_URL            the database; pg_dump and psql of its major version are on the PATH
# CLICKHOUSE_HTTP         http(s)://host:port of ClickHouse's HTTP interface
# CLICKHOUSE_OPERATOR     user:password, who may BACKUP
# CLICKHOUSE_DATABASE     default: segment_copilot
# CLICKHOUSE_DESTINATION  where ClickHouse writes to, in its words: File('2026-11-30/'), Disk('backups', '2026-11-30/'), S3('…', …)
set -eu
directory=${1:?Name the directory that the backup goes into: backup.sh DIRECTORY}
: "${DATABASE_URL:?}" "${CLICKHOUSE_HTTP:?}" "${CLICKHOUSE_OPERATOR:?}" "${CLICKHOUSE_DESTINATION:?}"
database=${CLICKHOUSE_DATABASE:-segment_copilot}
umask 077

postgres() { psql --no-psqlrc --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname="$DATABASE_URL" --command="$1"; }
clickhouse() { # the password is not seen in the list of processes
  printf 'user = "%s"\n' "$CLICKHOUSE_OPERATOR" |
    curl --silent --show-error --fail-with-body --config - --data-binary "$1" "$CLICKHOUSE_HTTP/?wait_end_of_query=1"
}

# 0x5E6A11FE: what the locks of living workers are numbered under (stores/presence.py)
workers=$(postgres "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1584009726 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
if [ "$workers" != 0 ]; then
  echo "backup.sh: $workers workers are at work, and the stores would not be at one state. Stop them; the API may go on." >&2
  exit 1
fi
if [ -e "$directory/postgres.dump" ]; then
  echo "backup.sh: $directory holds a backup already. Name another directory." >&2
  exit 1
fi
mkdir -p "$directory"

# PostgreSQL first: what the API writes to ClickHouse meanwhile (lists that are uploaded) is then named by nothing.
pg_dump --format=custom --no-owner --no-privileges --file="$directory/postgres.part" "$DATABASE_URL"
clickhouse "BACKUP DATABASE \`$database\` TO $CLICKHOUSE_DESTINATION" > "$directory/clickhouse.txt" || true # what it said is told below
grep -q BACKUP_CREATED "$directory/clickhouse.txt" || { cat "$directory/clickhouse.txt" >&2; exit 1; }
mv "$directory/postgres.part" "$directory/postgres.dump" # there, it is whole
echo "Both stores are backed up: $directory/postgres.dump, and $CLICKHOUSE_DESTINATION. Start the workers."
