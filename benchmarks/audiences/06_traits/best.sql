SELECT user_key
FROM traits
WHERE tenant_id = {tenant} AND property = 'spent' AND occurred_at <= {as_of}
  AND user_key IN (
    SELECT user_key
    FROM traits
    WHERE tenant_id = {tenant} AND property = 'plan' AND occurred_at <= {as_of}
    GROUP BY user_key
    HAVING argMax(ifNull(value.v.:String = 'pro', 0), time_and_id())
  )
GROUP BY user_key
HAVING argMax(ifNull(number(value.v) >= 2000, 0), time_and_id())
