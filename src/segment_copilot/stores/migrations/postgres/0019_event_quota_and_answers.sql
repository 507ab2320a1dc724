-- How many events a tenant may send in a month, and how many it sent. What came before this migration is not counted.
ALTER TABLE tenants ADD COLUMN events_per_month bigint CHECK (events_per_month > 0); -- null: any

CREATE TABLE event_counts (
    tenant_id integer NOT NULL,
    month date NOT NULL, -- its first day, in the tenant's time zone
    slot smallint NOT NULL, -- a month is counted in several rows, so that requests of one tenant seldom wait for each other
    accepted bigint NOT NULL,
    PRIMARY KEY (tenant_id, month, slot)
) WITH (fillfactor = 50); -- rows are small and written with each request: new versions stay in their page

-- An answer may be of use for less than a day, and may have to be forgotten before: that of a request that asks is then asked anew.
ALTER TABLE idempotency_keys
    ADD COLUMN kept_for interval NOT NULL DEFAULT '24 hours', -- since created_at
    ADD COLUMN asks boolean NOT NULL DEFAULT false; -- it changed nothing, and may be done again
