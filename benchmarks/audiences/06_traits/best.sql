-- Of each trait the current value, and the history of those whose current value is later than as_of or not exact.
-- FINAL where both halves are listed: a replaced row that is still there must not put a user into both.
SELECT user_key
FROM (
  SELECT user_key
  FROM traits_current FINAL
  WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of} AND is_exact
    AND ifNull(number(value.v) >= 2000, 0)
  UNION ALL
  SELECT user_key
  FROM traits
  WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of}
    AND user_key IN (
      SELECT user_key FROM traits_current FINAL
      WHERE tenant_id = {tenant} AND property = 'spent' AND (occurred_at > {as_of} OR NOT is_exact)
    )
  GROUP BY user_key
  HAVING argMax(ifNull(number(value.v) >= 2000, 0), time_and_id())
)
WHERE user_key IN (
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
)
