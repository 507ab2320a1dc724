"""Webhooks tell a tenant's own servers what became of its segments: endpoints, their queues, what each delivery met.

Nothing here computes; no user id is kept here, since a body is made from the log of changes when it is sent.
"""
