-- One bit per week; in UTC every week is as long.
SELECT user_key
FROM events
WHERE tenant_id = {tenant} AND event_type = 'session_started' AND occurred_at >= {w7} AND occurred_at <= {as_of}
GROUP BY user_key
HAVING bitCount(groupBitOr(bitShiftLeft(toUInt8(1), intDiv(toUnixTimestamp(occurred_at) - toUnixTimestamp({w7}), 604800)))) >= 3
