"""Faults, planted one after another in a running service under load; `make chaos` runs them, `make test` does not."""
