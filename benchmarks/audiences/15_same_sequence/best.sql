-- As 08, but the codes of a user are sorted by product first, and a chain ends where the product does. The products of
-- these events are texts; any other value would have to be told apart by its type, too.
SELECT user_key
FROM (
  SELECT user_key, arraySort(groupArray((product, micros() * 16 + multiIf(event_type = 'product_viewed', 2, event_type = 'cart_updated', 1, 0)))) AS found
  FROM (
    SELECT user_key, event_type, occurred_at, assumeNotNull(payload.product.:String) AS product
    FROM events
    WHERE tenant_id = {tenant} AND event_type IN ('product_viewed', 'cart_updated', 'order_placed') AND occurred_at <= {as_of}
      AND payload.product.:String IS NOT NULL
  )
  GROUP BY user_key
  HAVING countIf(event_type = 'product_viewed') > 0 AND countIf(event_type = 'cart_updated') > 0 AND countIf(event_type = 'order_placed') > 0
)
WHERE arrayExists(codes ->
  arrayExists((code, start) -> bitAnd(code, 15) = 0 AND start > 0 AND bitShiftRight(code, 4) - start <= 2592000000000, codes,
    arrayFill(start -> start > 0, arrayMap((code, start) -> if(bitAnd(code, 15) = 1 AND start > 0, start, 0), codes,
      arrayFill(start -> start > 0, arrayMap(code -> if(bitAnd(code, 15) = 2, bitShiftRight(code, 4), 0), codes))))),
  arraySplit((code, product, before) -> product != before, found.2, found.1, arrayPushFront(arrayPopBack(found.1), found.1[1])))
