"""The OpenAPI document: its examples, told to a running service; linters; clients generated from it."""
