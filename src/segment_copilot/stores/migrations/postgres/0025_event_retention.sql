-- How long a tenant's events are kept in ClickHouse, and up to which instant older ones have been dropped.
ALTER TABLE tenants
    ADD COLUMN event_days integer CHECK (event_days > 0), -- null: for ever
    ADD COLUMN events_dropped_before timestamptz,
    ADD COLUMN dropping_until timestamptz; -- a worker is at it, or was until it died
