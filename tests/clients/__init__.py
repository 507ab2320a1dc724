"""Tools of others read the OpenAPI document: linters find nothing in it, and clients generated from it work."""
