-- Each step keeps the candidates of the one inside it: sets stay small, and the last reads few users' events.
-- Of each trait the current value, and the history of those whose current value is later than as_of or not exact.
SELECT user_key
FROM events
WHERE tenant_id = {tenant} AND event_type = 'product_viewed' AND occurred_at <= {as_of}
  AND user_key IN (
    SELECT user_key
    FROM (
      SELECT user_key
      FROM traits_current FINAL
      WHERE tenant_id = {tenant} AND property = 'plan' AND occurred_at <= {as_of} AND is_exact
        AND ifNull(value.v.:String = 'pro', 0)
      UNION ALL
      SELECT user_key
      FROM traits
      WHERE tenant_id = {tenant} AND property = 'plan' AND occurred_at <= {as_of}
        AND user_key IN (
          SELECT user_key FROM traits_current
          WHERE tenant_id = {tenant} AND property = 'plan' AND (occurred_at > {as_of} OR NOT is_exact)
        )
      GROUP BY user_key
      HAVING argMax(ifNull(value.v.:String = 'pro', 0), time_and_id())
      UNION ALL
      SELECT user_key
      FROM traits_current FINAL
      WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of} AND is_exact
        AND ifNull(number(value.v) >= 1000, 0)
      UNION ALL
      SELECT user_key
      FROM traits
      WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of}
        AND user_key IN (
          SELECT user_key FROM traits_current
          WHERE tenant_id = {tenant} AND property = 'spent' AND (occurred_at > {as_of} OR NOT is_exact)
        )
      GROUP BY user_key
      HAVING argMax(ifNull(number(value.v) >= 1000, 0), time_and_id())
      UNION ALL
      SELECT user_key
      FROM events
      WHERE tenant_id = {tenant} AND event_type = 'email_clicked' AND occurred_at >= {d90} AND occurred_at <= {as_of}
      GROUP BY user_key
      HAVING count() >= 2
    )
    WHERE user_key IN (
      SELECT user_key
      FROM (
        SELECT user_key
        FROM events
        WHERE tenant_id = {tenant} AND event_type = 'order_placed' AND occurred_at <= {as_of}
        GROUP BY user_key
        HAVING count() >= 2 OR sumIf(millionths(payload.total), occurred_at >= {d90}) >= 200000000
        UNION ALL
        SELECT user_key
        FROM events
        WHERE tenant_id = {tenant} AND event_type = 'checkout_started' AND occurred_at >= {d30} AND occurred_at <= {as_of}
      )
      WHERE user_key IN (
        SELECT user_key
        FROM events
        WHERE tenant_id = {tenant} AND event_type = 'page_viewed' AND occurred_at >= {d60} AND occurred_at <= {as_of}
          AND user_key IN (
            SELECT user_key
            FROM events
            WHERE tenant_id = {tenant} AND event_type = 'email_opened' AND occurred_at >= {d60} AND occurred_at <= {as_of}
          )
          AND user_key NOT IN (
            SELECT user_key
            FROM events
            WHERE tenant_id = {tenant} AND event_type = 'support_contacted' AND occurred_at >= {d90} AND occurred_at <= {as_of}
          )
        GROUP BY user_key
        HAVING count() >= 3
      )
    )
  )
GROUP BY user_key
HAVING argMax(ifNull(payload.device.:String = 'mobile', 0), time_and_id())
