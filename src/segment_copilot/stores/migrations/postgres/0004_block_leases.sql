-- Which worker's claim holds a block: new with each, so that one that was overtaken finds out.
ALTER TABLE blocks ADD COLUMN lease_id uuid;
