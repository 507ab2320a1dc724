-- Who holds a row: the number of a lock that the worker's own session holds while the worker lives. What a dead one held
-- is free at once, and need not wait for the end of its lease.
ALTER TABLE blocks ADD COLUMN holder integer;
ALTER TABLE computations ADD COLUMN holder integer;
ALTER TABLE member_removals ADD COLUMN holder integer;
