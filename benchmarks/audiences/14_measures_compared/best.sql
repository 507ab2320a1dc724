-- Both sums in one read. Twice the one against three times the other; no sum of 128 bits is near the end of them.
SELECT user_key
FROM events
WHERE tenant_id = {tenant} AND event_type = 'order_placed' AND occurred_at >= {d180} AND occurred_at <= {as_of}
GROUP BY user_key
HAVING sumIf(millionths(payload.total), occurred_at >= {d90}) * 2 > sumIf(millionths(payload.total), occurred_at <= {d90}) * 3
