"""LINKS words to what the tenant's catalog has. A name that the catalog lacks is never made up."""
