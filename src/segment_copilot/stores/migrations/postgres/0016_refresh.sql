-- Segments that keep themselves true. What is there already stays as it was: computed when somebody asks for it.
ALTER TABLE segments
    ADD COLUMN refresh_mode text NOT NULL DEFAULT 'manual' CHECK (refresh_mode IN ('auto', 'interval', 'live', 'manual')),
    ADD COLUMN refresh_every text, -- a length of the language, such as 3h; with interval alone
    ADD COLUMN paused_since timestamptz, -- null: not paused
    ADD COLUMN next_refresh_at timestamptz, -- null: nothing is due by the clock (manual, paused, inactive, draft, static)
    ADD COLUMN last_refreshed_at timestamptz, -- the latest instant for which the members were computed
    ADD COLUMN refresh_failures integer NOT NULL DEFAULT 0; -- in a row
CREATE INDEX segments_due ON segments (next_refresh_at) WHERE next_refresh_at IS NOT NULL;

-- Why a computation is there: somebody asked for it, it was due, or traits had changed.
ALTER TABLE computations ADD COLUMN cause text NOT NULL DEFAULT 'request' CHECK (cause IN ('request', 'schedule', 'traits'));
CREATE INDEX computations_unfinished ON computations (tenant_id, segment_id) WHERE status IN ('queued', 'running');

-- When a worker last took computations of a tenant: the one that has waited longest comes next.
CREATE TABLE computation_turns (
    tenant_id integer PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    taken_at timestamptz NOT NULL
);

-- That traits of a tenant have changed, and how much of it its dynamic segments have seen.
CREATE TABLE trait_changes (
    tenant_id integer PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    changed bigint NOT NULL DEFAULT 0, -- counts blocks
    seen bigint NOT NULL DEFAULT 0, -- the count at the last re-test
    latest timestamptz, -- the latest time among the changes, which may be ahead of the clock
    tested_at timestamptz -- the instant of the last re-test
);
CREATE INDEX trait_changes_unseen ON trait_changes (tenant_id) WHERE changed > seen OR latest > tested_at;
