"""HTTP: translate, call, return."""
