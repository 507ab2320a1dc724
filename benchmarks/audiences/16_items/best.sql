-- The price may be a text that is a number, as everywhere; what the other test refuses is not looked at for it.
SELECT DISTINCT user_key
FROM events
WHERE tenant_id = {tenant} AND event_type = 'order_placed' AND occurred_at >= {d90} AND occurred_at <= {as_of}
  AND arrayExists(
    item -> JSONExtractRaw(item, 'gift') = 'true'
      AND match(trim(BOTH '"' FROM JSONExtractRaw(item, 'price')), '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$')
      AND ifNull(toFloat64OrNull(trim(BOTH '"' FROM JSONExtractRaw(item, 'price'))) > 150, 0),
    JSONExtractArrayRaw(ifNull(toJSONString(payload.items), '')))
