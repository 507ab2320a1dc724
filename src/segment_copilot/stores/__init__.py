"""The two stores, PostgreSQL and ClickHouse, behind the few calls that use cases make. They hold no business words."""
