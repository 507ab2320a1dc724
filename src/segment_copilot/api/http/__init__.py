"""What every resource needs of HTTP: problems, bodies, pages, streams, keys, the OpenAPI document. No resource is in it."""
