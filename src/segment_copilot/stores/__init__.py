"""Holds PostgreSQL and ClickHouse behind the few calls that use cases make. No business word is in it."""
