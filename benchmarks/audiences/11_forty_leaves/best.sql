SELECT user_key
FROM (
  SELECT user_key, groupBitOr(bits) AS slots
  FROM (
  SELECT user_key,
    toUInt64(if(countIf(occurred_at >= {d30}) >= 5, 1, 0)
    + if(countIf(occurred_at >= {d90}) >= 10, 2, 0)
    + if(countIf(occurred_at >= {d90} AND payload.device.:String = 'tablet') >= 2, 4, 0)
    + if(max(occurred_at) < {d60}, 68719476736, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'page_viewed' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(countIf(occurred_at >= {d30}) >= 4, 8, 0)
    + if(countIf(occurred_at >= {d60} AND payload.country.:String = 'US') >= 1, 16, 0)
    + if(argMax(ifNull(payload.shipping.method.:String = 'express', 0), time_and_id()), 4194304, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'product_viewed' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(countIf(occurred_at >= {d30}) >= 3, 32, 0)
    + if(countIf(occurred_at >= {d120}) >= 8, 64, 0)
    + if(max(occurred_at) >= {d14}, 262144, 0)
    + if(max(occurred_at) < {d60}, 137438953472, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'session_started' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(countIf(occurred_at >= {d60}) >= 3, 128, 0)
    + if(argMax(ifNull(payload.device.:String = 'mobile', 0), time_and_id()), 2097152, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'search_performed' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(countIf(occurred_at >= {d30}) >= 2, 256, 0)
    + if(sum(millionths(payload.total)) >= 250000000, 65536, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'cart_updated' AND occurred_at <= {as_of} AND occurred_at >= {d60}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(count() >= 2, 512, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'email_opened' AND occurred_at <= {as_of} AND occurred_at >= {d30}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(count() >= 2, 1024, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'email_clicked' AND occurred_at <= {as_of} AND occurred_at >= {d60}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(2048) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'video_played' AND occurred_at <= {as_of} AND occurred_at >= {d90}
  UNION ALL
  SELECT user_key,
    toUInt64(if(countIf(occurred_at >= {d60}) >= 1, 4096, 0)
    + if(count() >= 3, 8192, 0)
    + if(sumIf(millionths(payload.total), occurred_at >= {d90}) >= 150000000, 16384, 0)
    + if(sumIf(millionths(payload.total), occurred_at >= {d30} AND payload.country.:String = 'ES') >= 60000000, 32768, 0)
    + if(argMax(ifNull(payload.payment.:String = 'paypal', 0), time_and_id()), 1048576, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'order_placed' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(131072) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'checkout_started' AND occurred_at <= {as_of} AND occurred_at >= {d45}
  UNION ALL
  SELECT user_key,
    toUInt64(if(max(occurred_at) BETWEEN {d60} AND {d20}, 524288, 0)
    + if(count() >= 3, 274877906944, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'wishlist_added' AND occurred_at <= {as_of} AND occurred_at >= {d90}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(8388608) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'coupon_applied' AND occurred_at <= {as_of} AND occurred_at >= {d90}
  UNION ALL
  SELECT user_key,
    toUInt64(if(ifNull(value.v.:String = 'pro', 0), 16777216, 0)
    + if(ifNull(value.v.:String = 'team', 0), 33554432, 0)
    + if(ifNull(value.v.:String = 'free', 0), 34359738368, 0)) AS bits
  FROM traits_current FINAL
  WHERE tenant_id = {tenant} AND property = 'plan' AND occurred_at <= {as_of} AND is_exact
  UNION ALL
  SELECT user_key,
    argMax(toUInt64(if(ifNull(value.v.:String = 'pro', 0), 16777216, 0)
    + if(ifNull(value.v.:String = 'team', 0), 33554432, 0)
    + if(ifNull(value.v.:String = 'free', 0), 34359738368, 0)), time_and_id()) AS bits
  FROM traits
  WHERE tenant_id = {tenant} AND property = 'plan' AND occurred_at <= {as_of}
    AND user_key IN (SELECT user_key FROM traits_current WHERE tenant_id = {tenant} AND property = 'plan' AND (occurred_at > {as_of} OR NOT is_exact))
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(ifNull(number(value.v) >= 1500, 0), 67108864, 0)) AS bits
  FROM traits_current FINAL
  WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of} AND is_exact
  UNION ALL
  SELECT user_key,
    argMax(toUInt64(if(ifNull(number(value.v) >= 1500, 0), 67108864, 0)), time_and_id()) AS bits
  FROM traits
  WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of}
    AND user_key IN (SELECT user_key FROM traits_current WHERE tenant_id = {tenant} AND property = 'spent' AND (occurred_at > {as_of} OR NOT is_exact))
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(ifNull(value.v.:Bool, 0), 134217728, 0)) AS bits
  FROM traits_current FINAL
  WHERE tenant_id = {tenant} AND property = 'newsletter' AND occurred_at <= {as_of} AND is_exact
  UNION ALL
  SELECT user_key,
    argMax(toUInt64(if(ifNull(value.v.:Bool, 0), 134217728, 0)), time_and_id()) AS bits
  FROM traits
  WHERE tenant_id = {tenant} AND property = 'newsletter' AND occurred_at <= {as_of}
    AND user_key IN (SELECT user_key FROM traits_current WHERE tenant_id = {tenant} AND property = 'newsletter' AND (occurred_at > {as_of} OR NOT is_exact))
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(ifNull(value.v.:String = 'ES', 0), 268435456, 0)
    + if(ifNull(value.v.:String = 'FR', 0), 536870912, 0)) AS bits
  FROM traits_current FINAL
  WHERE tenant_id = {tenant} AND property = 'country' AND occurred_at <= {as_of} AND is_exact
  UNION ALL
  SELECT user_key,
    argMax(toUInt64(if(ifNull(value.v.:String = 'ES', 0), 268435456, 0)
    + if(ifNull(value.v.:String = 'FR', 0), 536870912, 0)), time_and_id()) AS bits
  FROM traits
  WHERE tenant_id = {tenant} AND property = 'country' AND occurred_at <= {as_of}
    AND user_key IN (SELECT user_key FROM traits_current WHERE tenant_id = {tenant} AND property = 'country' AND (occurred_at > {as_of} OR NOT is_exact))
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(1073741824) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'review_posted' AND occurred_at <= {as_of} AND occurred_at >= {d120}
  UNION ALL
  SELECT user_key,
    toUInt64(2147483648) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'app_installed' AND occurred_at <= {as_of}
  UNION ALL
  SELECT user_key,
    toUInt64(if(countIf(occurred_at >= {d90}) >= 1, 4294967296, 0)
    + if(sum(millionths(payload.total)) >= 100000000, 549755813888, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'refund_requested' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  UNION ALL
  SELECT user_key,
    toUInt64(if(count() >= 1, 8589934592, 0)
    + if(countIf(occurred_at >= {d120}) >= 2, 17179869184, 0)) AS bits
  FROM events
  WHERE tenant_id = {tenant} AND event_type = 'support_contacted' AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING bits != 0
  )
  GROUP BY user_key
)
WHERE ((bitAnd(slots, 4095) != 0) AND (bitAnd(slots, 8384512) != 0 OR bitAnd(slots, 8388608) = 0) AND (bitAnd(slots, 4278190080) != 0))
  AND NOT ((bitAnd(slots, 12884901888) = 12884901888) OR (bitAnd(slots, 51539607552) = 51539607552) OR (bitAnd(slots, 206158430208) = 206158430208) OR (bitAnd(slots, 824633720832) = 824633720832))
