"""From words to what the tenant's catalog has."""
