"""Access: decides who may do what in which tenant: tenants, keys, sessions and what signs them. It knows no HTTP."""
