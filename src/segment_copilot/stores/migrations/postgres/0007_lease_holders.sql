-- Who holds a row: the number of a lock that the worker's own session holds while the worker lives. What a dead one held
-- is free at once, and need not wait for the end of its lease.
ALTER TABLE blocks ADD COLUMN holder integer;
ALTER TABLE computations ADD COLUMN holder integer;
ALTER TABLE member_removals ADD COLUMN holder integer;

-- How often work on a row was begun, given back or not: what was begun may have been done, though nobody heard of it.
ALTER TABLE blocks ADD COLUMN begun integer NOT NULL DEFAULT 0;
ALTER TABLE computations ADD COLUMN begun integer NOT NULL DEFAULT 0;
ALTER TABLE member_removals ADD COLUMN begun integer NOT NULL DEFAULT 0;
UPDATE blocks SET begun = 1 WHERE status = 'pending' AND (attempts > 0 OR failing_since IS NOT NULL);
