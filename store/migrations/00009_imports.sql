-- Imports of any size: uploaded in parts, staged in steps, merged as a whole; and audiences from contacts.

-- +goose Up
ALTER TABLE imports DROP CONSTRAINT imports_check;
ALTER TABLE imports
    ADD COLUMN source text NOT NULL DEFAULT 'csv' CHECK (source IN ('csv', 'contacts')),
    ADD COLUMN filter jsonb,  -- contacts: which ones
    ADD COLUMN options jsonb, -- csv: how the file is to be read
    ADD COLUMN phase text NOT NULL DEFAULT 'done'
        CHECK (phase IN ('uploading', 'staging', 'merging', 'done', 'failed', 'cancelled')),
    ADD COLUMN parts integer NOT NULL DEFAULT 0,        -- received
    ADD COLUMN bytes bigint NOT NULL DEFAULT 0,         -- received
    ADD COLUMN staged_bytes bigint NOT NULL DEFAULT 0,  -- read by the workflow
    ADD COLUMN problem_code text NOT NULL DEFAULT '',
    ADD COLUMN problem text NOT NULL DEFAULT '',        -- failed, cancelled: why
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN finished_at timestamptz,
    ALTER COLUMN lines SET DEFAULT 0, ALTER COLUMN invalid SET DEFAULT 0,
    ALTER COLUMN duplicates SET DEFAULT 0, ALTER COLUMN targets SET DEFAULT 0;
UPDATE imports SET updated_at = created_at, finished_at = created_at;
ALTER TABLE imports
    ADD CONSTRAINT imports_add_up CHECK (phase <> 'done' OR lines = invalid + duplicates + targets),
    ADD CONSTRAINT imports_ended CHECK ((phase IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    ADD CONSTRAINT imports_filter CHECK ((source = 'contacts') = (filter IS NOT NULL)),
    ADD CONSTRAINT imports_nothing_but_done CHECK (phase = 'done' OR targets = 0);
-- One at a time into a campaign. Those of one request take an advisory lock besides, which ends with them.
CREATE UNIQUE INDEX imports_running ON imports (campaign_id) WHERE phase IN ('uploading', 'staging', 'merging');
CREATE INDEX imports_updated ON imports (updated_at);
GRANT UPDATE ON imports TO lastcall_app;

-- A file on its way in, in gzipped parts of its bytes. Gone when its import has ended.
CREATE TABLE import_parts (
    import_id uuid NOT NULL REFERENCES imports,
    n integer NOT NULL CHECK (n BETWEEN 1 AND 10000),
    size integer NOT NULL CHECK (size > 0), -- before gzip
    digest bytea NOT NULL CHECK (octet_length(digest) = 32), -- SHA-256 of the bytes before gzip
    body bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (import_id, n)
);
ALTER TABLE import_parts ALTER COLUMN body SET STORAGE EXTERNAL; -- compressed already

-- The rows of a file before they are merged, and how far they reach. Neither is in the write-ahead log: after a
-- crash of Postgres both are empty, so the import begins again with its parts, which are.
CREATE UNLOGGED TABLE import_rows (
    import_id uuid NOT NULL,
    line bigint NOT NULL,
    msisdn text NOT NULL,
    msisdn_hash bytea NOT NULL,
    country char(2) NOT NULL,
    zone text NOT NULL,
    country_zone text NOT NULL,
    locale text NOT NULL,
    variables jsonb,
    PRIMARY KEY (import_id, line)
);
CREATE UNLOGGED TABLE import_checkpoints (
    import_id uuid PRIMARY KEY,
    line bigint NOT NULL DEFAULT 0,    -- of the file; all up to it are staged
    lines bigint NOT NULL DEFAULT 0,   -- without blank ones
    invalid bigint NOT NULL DEFAULT 0,
    finished boolean NOT NULL DEFAULT false -- it was the file's last
);
GRANT SELECT, INSERT, DELETE ON import_parts, import_rows TO lastcall_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON import_checkpoints TO lastcall_app;

-- What the opt-out registry knows a contact by, so that a million contacts become targets without leaving the
-- database. Null: not computed yet, for only the application has the pepper.
ALTER TABLE contacts ADD COLUMN msisdn_hash bytea CHECK (octet_length(msisdn_hash) = 32);
CREATE INDEX contacts_unhashed ON contacts (id) WHERE msisdn_hash IS NULL;
CREATE INDEX contacts_place ON contacts (country, locale);
-- +goose StatementBegin
CREATE FUNCTION forget_hash() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.msisdn <> OLD.msisdn AND NEW.msisdn_hash IS NOT DISTINCT FROM OLD.msisdn_hash THEN
        NEW.msisdn_hash := NULL; -- it was the old number's
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER contacts_renumbered BEFORE UPDATE OF msisdn ON contacts FOR EACH ROW EXECUTE FUNCTION forget_hash();

-- A quarter to a third of an import was the foreign key of targets to cohorts, checked row by row. The counting
-- trigger finds the cohort of every target anyway, a statement at a time, and now refuses one that is not there.
ALTER TABLE targets DROP CONSTRAINT targets_campaign_id_cohort_fkey;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION count_targets() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    changed text := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT campaign_id, cohort, state, 1 AS n FROM new_rows'
        WHEN 'DELETE' THEN 'SELECT campaign_id, cohort, state, -1 AS n FROM old_rows'
        ELSE 'SELECT campaign_id, cohort, state, 1 AS n FROM new_rows
              UNION ALL SELECT campaign_id, cohort, state, -1 FROM old_rows' END;
    d record;
BEGIN
    FOR d IN EXECUTE 'SELECT campaign_id, cohort, sum(n) AS targets,
            sum(CASE state WHEN ''queued'' THEN n ELSE 0 END) AS queued,
            sum(CASE state WHEN ''sending'' THEN n ELSE 0 END) AS sending,
            sum(CASE state WHEN ''sent'' THEN n ELSE 0 END) AS sent,
            sum(CASE state WHEN ''delivered'' THEN n ELSE 0 END) AS delivered,
            sum(CASE state WHEN ''read'' THEN n ELSE 0 END) AS read,
            sum(CASE state WHEN ''failed'' THEN n ELSE 0 END) AS failed,
            sum(CASE state WHEN ''opted_out'' THEN n ELSE 0 END) AS opted_out,
            sum(CASE state WHEN ''unknown'' THEN n ELSE 0 END) AS unknown,
            sum(CASE state WHEN ''cancelled'' THEN n ELSE 0 END) AS cancelled
        FROM (SELECT campaign_id, cohort, state, sum(n) AS n FROM (' || changed || ') r GROUP BY campaign_id, cohort, state) c
        GROUP BY campaign_id, cohort ORDER BY campaign_id, cohort'
    LOOP
        UPDATE cohorts SET targets = targets + d.targets, queued = queued + d.queued, sending = sending + d.sending,
            sent = sent + d.sent, delivered = delivered + d.delivered, read = read + d.read,
            failed = failed + d.failed, opted_out = opted_out + d.opted_out, unknown = unknown + d.unknown,
            cancelled = cancelled + d.cancelled
        WHERE campaign_id = d.campaign_id AND id = d.cohort;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'campaign % has no cohort %', d.campaign_id, d.cohort
                USING ERRCODE = 'foreign_key_violation', TABLE = 'targets', CONSTRAINT = 'targets_cohort';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- The counting trigger may go on refusing what the key refuses.
ALTER TABLE targets ADD CONSTRAINT targets_campaign_id_cohort_fkey FOREIGN KEY (campaign_id, cohort) REFERENCES cohorts;
DROP TRIGGER contacts_renumbered ON contacts;
DROP FUNCTION forget_hash();
DROP INDEX contacts_place, contacts_unhashed;
ALTER TABLE contacts DROP COLUMN msisdn_hash;
DROP TABLE import_checkpoints, import_rows, import_parts;
REVOKE UPDATE ON imports FROM lastcall_app;
DROP INDEX imports_updated, imports_running;
DELETE FROM import_lines WHERE import_id IN (SELECT id FROM imports WHERE phase <> 'done');
DELETE FROM imports WHERE phase <> 'done';
ALTER TABLE imports
    DROP CONSTRAINT imports_nothing_but_done, DROP CONSTRAINT imports_filter, DROP CONSTRAINT imports_ended,
    DROP CONSTRAINT imports_add_up, DROP COLUMN source, DROP COLUMN filter, DROP COLUMN options, DROP COLUMN phase,
    DROP COLUMN parts, DROP COLUMN bytes, DROP COLUMN staged_bytes, DROP COLUMN problem_code, DROP COLUMN problem,
    DROP COLUMN updated_at, DROP COLUMN finished_at,
    ALTER COLUMN lines DROP DEFAULT, ALTER COLUMN invalid DROP DEFAULT, ALTER COLUMN duplicates DROP DEFAULT,
    ALTER COLUMN targets DROP DEFAULT,
    ADD CONSTRAINT imports_check CHECK (lines = invalid + duplicates + targets);
