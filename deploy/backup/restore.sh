#!/bin/sh
# Restores what backup.sh wrote, into databases that are empty: docs/operations/backup.md. The variables are the same.
#
#   restore.sh DIRECTORY
set -eu
directory=${1:?Name the directory of the backup: restore.sh DIRECTORY}
: "${DATABASE_URL:?}" "${CLICKHOUSE_HTTP:?}" "${CLICKHOUSE_OPERATOR:?}" "${CLICKHOUSE_DESTINATION:?}"
database=${CLICKHOUSE_DATABASE:-segment_copilot}

postgres() { psql --no-psqlrc --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname="$DATABASE_URL" --command="$1"; }
clickhouse() {
  printf 'user = "%s"\n' "$CLICKHOUSE_OPERATOR" |
    curl --silent --show-error --fail-with-body --config - --data-binary "$1" "$CLICKHOUSE_HTTP/?wait_end_of_query=1"
}

if [ ! -e "$directory/postgres.dump" ]; then
  echo "restore.sh: $directory holds no whole backup (postgres.dump is not there)." >&2
  exit 1
fi
tables=$(postgres "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
others=$(clickhouse "SELECT count() FROM system.tables WHERE database = '$database'")
if [ "$tables" != 0 ] || [ "$others" != 0 ]; then
  echo "restore.sh: there are $tables tables in PostgreSQL and $others in ClickHouse already. Restore into empty databases." >&2
  exit 1
fi

# ClickHouse first: until PostgreSQL is there, no process takes the stores for whole.
clickhouse "RESTORE DATABASE \`$database\` FROM $CLICKHOUSE_DESTINATION" > "$directory/restored.txt" || true # what it said is told below
grep -q RESTORED "$directory/restored.txt" || { cat "$directory/restored.txt" >&2; exit 1; }
# Restored parts keep the number of the last mutation that they went through, while the tables count from 1 again: what deletes rows (an
# erasure, retention) would pass over them and be called done. A table that is loaded anew counts on from its parts.
tables=$(clickhouse "SELECT name FROM system.tables WHERE database = '$database' AND engine LIKE '%MergeTree'")
for table in $tables; do
  clickhouse "DETACH TABLE \`$database\`.\`$table\` SYNC"
  clickhouse "ATTACH TABLE \`$database\`.\`$table\`"
done
pg_restore --single-transaction --exit-on-error --no-owner --no-privileges --dbname="$DATABASE_URL" "$directory/postgres.dump"
echo "Both stores are restored. Run \`segment-copilot migrate\` and \`segment-copilot doctor\`, then start the processes."
