SELECT user_key
FROM (
  SELECT user_key, groupBitOr(bits) AS slots
  FROM (
  SELECT user_key,
    toUInt64(if(count() >= 3, 1, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'page_viewed' AND occurred_at <= {as_of} AND occurred_at >= {d60}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(count() >= 2, 2, 0)
    + if(sumIf(millionths(payload.total), occurred_at >= {d90}) >= 200000000, 4, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'order_placed' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(8) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'checkout_started' AND occurred_at <= {as_of} AND occurred_at >= {d30}
  UNION ALL
  SELECT user_key,
    toUInt64(if(argMax(ifNull(value.v.:String = 'pro', 0), time_and_id()), 16, 0)) AS bits
  FROM traits
  WHERE tenant_id = {tenant} AND property = 'plan' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(argMax(ifNull(number(value.v) >= 1000, 0), time_and_id()), 32, 0)) AS bits
  FROM traits
  WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(count() >= 2, 64, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'email_clicked' AND occurred_at <= {as_of} AND occurred_at >= {d90}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(128) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'email_opened' AND occurred_at <= {as_of} AND occurred_at >= {d60}
  UNION ALL
  SELECT user_key,
    toUInt64(256) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'support_contacted' AND occurred_at <= {as_of} AND occurred_at >= {d90}
  UNION ALL
  SELECT user_key,
    toUInt64(if(argMax(ifNull(payload.device.:String = 'mobile', 0), time_and_id()), 512, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'product_viewed' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  )
  GROUP BY user_key
)
WHERE bitAnd(slots, 641) = 641 AND (bitAnd(slots, 14) != 0) AND (bitAnd(slots, 112) != 0) AND bitAnd(slots, 256) = 0
