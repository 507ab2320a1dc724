-- One read of the events. The amounts, sorted without ids, give the one at the border; only who is there or above is joined
-- with the ids, and only at the border they decide.
SELECT arrayJoin(arrayConcat(
  groupArrayIf(user_key, room = 0),
  arrayMap(one -> one.2, arraySlice(arraySort(groupArrayIf((user_id, user_key), room > 0)), 1, max(room)))
)) AS user_key
FROM (SELECT user_key, user_id FROM users WHERE tenant_id = {tenant}) AS ids
INNER JOIN (
  SELECT user_key, if(amount = border, left, 0) AS room
  FROM (
    SELECT groupArray(user_key) AS keys, groupArray(counted) AS amounts, intDiv(10000 * count() + 99999, 100000) AS places,
      arrayReverseSort(amounts)[places] AS border, places - arrayCount(one -> one > border, amounts) AS left
    FROM (
      SELECT user_key, count() AS counted
      FROM events
      WHERE tenant_id = {tenant} AND event_type != 'context_identified' AND occurred_at <= {as_of}
      GROUP BY user_key
    )
  )
  ARRAY JOIN keys AS user_key, amounts AS amount
  WHERE amount >= border
) AS ranked USING (user_key)
