-- Users who are in the part from 0% up to 10% of the random split “holdout-2026”.
--
-- tenant = 1
-- as_of = "2026-06-15 12:00:00+00:00"
-- p2 = "holdout-2026"
-- p3 = 0
-- p4 = 1844674407370955161

SELECT user_key, user_id
FROM users FINAL
WHERE tenant_id = {tenant:UInt32}
  AND first_seen <= {as_of:DateTime64(6, 'UTC')}
  AND user_key IN (
    SELECT user_key
    FROM users FINAL
    WHERE tenant_id = {tenant:UInt32}
      AND first_seen <= {as_of:DateTime64(6, 'UTC')}
      AND reinterpretAsUInt64(reverse(substring(SHA256(concat({p2:String}, '\0', user_id)), 1, 8))) BETWEEN {p3:UInt64} AND {p4:UInt64}
  )
