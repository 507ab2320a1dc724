-- Since when a block fails for a reason that is no fault of its rows: it waits, however long that takes, and is cut up
-- only once others got through since.
ALTER TABLE blocks ADD COLUMN failing_since timestamptz;
