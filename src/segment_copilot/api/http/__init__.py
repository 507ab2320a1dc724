"""Holds what every resource needs of HTTP: problems, bodies, pages, streams, keys, OpenAPI. No resource is in it."""
