-- Each event is its instant times 16 plus the steps after it: sorted, later steps come first at equal times, so each
-- sees only what is strictly earlier. The latest start of a chain is carried forward step by step.
SELECT user_key
FROM (
  SELECT user_key,
    arraySort(groupArray(micros() * 16 + multiIf(event_type = 'product_viewed', 2, event_type = 'cart_updated', 1, 0))) AS codes
  FROM events
  WHERE tenant_id = {tenant} AND event_type IN ('product_viewed', 'cart_updated', 'order_placed') AND occurred_at <= {as_of}
  GROUP BY user_key
  HAVING countIf(event_type = 'product_viewed') > 0 AND countIf(event_type = 'cart_updated') > 0 AND countIf(event_type = 'order_placed') > 0
)
WHERE arrayExists((code, start) -> bitAnd(code, 15) = 0 AND start > 0 AND bitShiftRight(code, 4) - start <= 604800000000, codes,
  arrayFill(start -> start > 0, arrayMap((code, start) -> if(bitAnd(code, 15) = 1 AND start > 0, start, 0), codes,
    arrayFill(start -> start > 0, arrayMap(code -> if(bitAnd(code, 15) = 2, bitShiftRight(code, 4), 0), codes)))))
