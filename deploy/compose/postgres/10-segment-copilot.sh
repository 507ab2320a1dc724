#!/bin/sh
# Runs once, when the volume is empty: a user that owns its database and nothing else.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_APP_PASSWORD" --username=postgres <<'SQL'
CREATE ROLE segment_copilot LOGIN PASSWORD :'password';
CREATE DATABASE segment_copilot OWNER segment_copilot ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' TEMPLATE template0;
SQL
