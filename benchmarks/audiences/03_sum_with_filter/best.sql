SELECT user_key
FROM events
WHERE tenant_id = {tenant} AND event_type = 'order_placed' AND occurred_at >= {d90} AND occurred_at <= {as_of}
  AND payload.country.:String = 'ES'
GROUP BY user_key
HAVING sum(millionths(payload.total)) >= 300000000
