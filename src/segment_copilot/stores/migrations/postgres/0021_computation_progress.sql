-- How far a computation is that is under way: the part of its steps that is done.
ALTER TABLE computations ADD COLUMN progress real;
