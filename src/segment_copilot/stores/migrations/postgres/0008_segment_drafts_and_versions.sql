-- A segment may be a draft without a definition; its version is 0 until it has one.
ALTER TABLE segments ALTER COLUMN definition DROP NOT NULL;

-- A version remembers the name it was saved under, and who saved it: the key, and the user of its session.
ALTER TABLE segment_versions
    ADD COLUMN name text NOT NULL DEFAULT '',
    ADD COLUMN key_id bigint,
    ADD COLUMN session_user_id text;
UPDATE segment_versions SET name = segments.name FROM segments WHERE segments.id = segment_id;
