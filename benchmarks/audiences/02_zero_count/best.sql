SELECT user_key
FROM users FINAL
WHERE tenant_id = {tenant} AND first_seen <= {as_of}
  AND user_key NOT IN (
    SELECT user_key
    FROM events
    WHERE tenant_id = {tenant} AND event_type = 'page_viewed' AND occurred_at >= {d30} AND occurred_at <= {as_of}
  )
