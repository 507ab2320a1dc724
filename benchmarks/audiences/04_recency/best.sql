-- Only what lies between the far edge and now can be, or forbid, a last event in the range.
SELECT user_key
FROM events
WHERE tenant_id = {tenant} AND event_type = 'cart_updated' AND occurred_at >= {d30} AND occurred_at <= {as_of}
GROUP BY user_key
HAVING max(occurred_at) <= {d10}
