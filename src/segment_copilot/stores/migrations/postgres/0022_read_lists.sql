-- The runs of static segments that work under way reads, by several statements: they stay until it is over.
ALTER TABLE computations ADD COLUMN lists uuid[];
ALTER TABLE snapshots ADD COLUMN lists uuid[];
ALTER TABLE live_refreshes ADD COLUMN lists uuid[];
