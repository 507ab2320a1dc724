-- The number that the next new user of a tenant gets in ClickHouse's user_numbers. Whoever gives numbers holds the row, so
-- that nobody else does; a number that was given is never given again, also when its user was erased.
CREATE TABLE user_numbering (
    tenant_id integer PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    next bigint NOT NULL
);

-- The published states of a segment, in the order in which they were.
CREATE INDEX computations_published ON computations (segment_id, id) WHERE change_set IS NOT NULL;
