-- Decisions of people: who asked for what, who decided, and what a campaign may do only with one.

-- +goose Up

-- What somebody wants another to decide. Of one subject only one is open.
CREATE TABLE approval_requests (
    id uuid PRIMARY KEY,
    subject_kind text NOT NULL CHECK (subject_kind ~ '^[a-z][a-z_]*$'),
    subject_id text NOT NULL CHECK (length(subject_id) BETWEEN 1 AND 200),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32), -- of the subject as it was asked about
    facts jsonb NOT NULL DEFAULT '{}',                       -- what whoever decides is shown: ids, counts, times
    reason text NOT NULL DEFAULT '',
    requester_id uuid NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz, -- decided, or nothing is to be decided any more
    closed_why text CHECK (closed_why IN ('decided', 'superseded', 'over')),
    CHECK ((closed_at IS NULL) = (closed_why IS NULL)),
    UNIQUE (id, subject_kind, subject_id)
);
CREATE UNIQUE INDEX approval_requests_open ON approval_requests (subject_kind, subject_id) WHERE closed_at IS NULL;
CREATE INDEX approval_requests_subject ON approval_requests (subject_kind, subject_id, id DESC);
GRANT SELECT, INSERT ON approval_requests TO lastcall_app;
GRANT UPDATE (closed_at, closed_why) ON approval_requests TO lastcall_app;

-- What was decided. An account decided it, in the role it had; never who asked for it, nor who edited the subject
-- last. A request is decided once. Rows stay as they are, but an approval can be made void.
CREATE TABLE approvals (
    id uuid PRIMARY KEY,
    subject_kind text NOT NULL CHECK (subject_kind ~ '^[a-z][a-z_]*$'),
    subject_id text NOT NULL CHECK (length(subject_id) BETWEEN 1 AND 200),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    verdict text NOT NULL CHECK (verdict IN ('approved', 'rejected')),
    reason text NOT NULL DEFAULT '',
    actor_id uuid NOT NULL REFERENCES accounts,
    actor_role text NOT NULL,
    request_id uuid UNIQUE,  -- null: nobody had to ask
    requester_id uuid REFERENCES accounts,
    editor_id uuid REFERENCES accounts, -- who had edited the subject last
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz, -- null: never
    voided_at timestamptz,
    void_reason text, -- a code
    FOREIGN KEY (request_id, subject_kind, subject_id) REFERENCES approval_requests (id, subject_kind, subject_id),
    CONSTRAINT approvals_four_eyes CHECK (actor_id IS DISTINCT FROM requester_id AND actor_id IS DISTINCT FROM editor_id),
    CHECK ((request_id IS NULL) = (requester_id IS NULL)),
    CHECK (verdict = 'approved' OR expires_at IS NULL AND voided_at IS NULL),
    CHECK (verdict = 'approved' OR reason <> ''),
    CHECK (expires_at > created_at),
    CHECK ((voided_at IS NULL) = (void_reason IS NULL))
);
CREATE INDEX approvals_subject ON approvals (subject_kind, subject_id, id DESC);
GRANT SELECT, INSERT ON approvals TO lastcall_app;
GRANT UPDATE (voided_at, void_reason) ON approvals TO lastcall_app;

-- Void stays void, and a closed request closed.
-- +goose StatementBegin
CREATE FUNCTION once_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % is changed once', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER approvals_void_once BEFORE UPDATE ON approvals FOR EACH ROW WHEN (OLD.voided_at IS NOT NULL) EXECUTE FUNCTION once_only();
CREATE TRIGGER approval_requests_closed_once BEFORE UPDATE ON approval_requests FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL) EXECUTE FUNCTION once_only();

-- Which accounts edited what is approved, the last one last: nobody approves their own.
CREATE TABLE edits (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject_kind text NOT NULL,
    subject_id text NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX edits_last ON edits (subject_kind, subject_id, id DESC);
GRANT SELECT, INSERT ON edits TO lastcall_app;

-- What a cohort's targets are, whatever their order: the exclusive or of the SHA-256 of each one's number, as its
-- keyed hash, and values. Who does not have the pepper cannot look for another audience of the same digest. An
-- audience is only ever added to; where a target's number or values are changed all the same, the digest follows.
CREATE TABLE audience_digests (
    campaign_id uuid NOT NULL,
    cohort smallint NOT NULL,
    digest bit(256) NOT NULL,
    PRIMARY KEY (campaign_id, cohort)
);
GRANT SELECT ON audience_digests TO lastcall_app;
-- +goose StatementBegin
CREATE FUNCTION target_digest(msisdn_hash bytea, variables jsonb) RETURNS bit(256) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || encode(sha256(msisdn_hash || convert_to(coalesce(variables::text, ''), 'UTF8')), 'hex'))::bit(256)
$$;
-- +goose StatementEnd
INSERT INTO audience_digests SELECT campaign_id, cohort, bit_xor(target_digest(msisdn_hash, variables)) FROM targets GROUP BY campaign_id, cohort;
-- +goose StatementBegin
CREATE FUNCTION digest_audience() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN -- of one row
        INSERT INTO audience_digests AS a VALUES (OLD.campaign_id, OLD.cohort, target_digest(OLD.msisdn_hash, OLD.variables))
            ON CONFLICT (campaign_id, cohort) DO UPDATE SET digest = a.digest # excluded.digest;
        INSERT INTO audience_digests AS a VALUES (NEW.campaign_id, NEW.cohort, target_digest(NEW.msisdn_hash, NEW.variables))
            ON CONFLICT (campaign_id, cohort) DO UPDATE SET digest = a.digest # excluded.digest;
    ELSE -- of a statement's rows
        INSERT INTO audience_digests AS a
            SELECT campaign_id, cohort, bit_xor(target_digest(msisdn_hash, variables)) FROM changed GROUP BY campaign_id, cohort ORDER BY campaign_id, cohort
            ON CONFLICT (campaign_id, cohort) DO UPDATE SET digest = a.digest # excluded.digest;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER targets_digest_inserted AFTER INSERT ON targets
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION digest_audience();
CREATE TRIGGER targets_digest_deleted AFTER DELETE ON targets
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION digest_audience();
-- Dispatch writes none of these columns, and so pays nothing.
CREATE TRIGGER targets_digest_updated AFTER UPDATE OF campaign_id, cohort, msisdn_hash, variables ON targets
    FOR EACH ROW EXECUTE FUNCTION digest_audience();

-- A campaign is cleared when it is about to send for the first time: no approval is needed, or the one in approval_id
-- held at that moment. What was started before there were approvals is cleared.
ALTER TABLE campaigns
    ADD COLUMN approval_id uuid REFERENCES approvals,
    ADD COLUMN cleared_at timestamptz;
UPDATE campaigns SET cleared_at = started_at WHERE status <> 'draft';
ALTER TABLE campaigns ADD CONSTRAINT campaigns_cleared CHECK (status <> 'running' OR cleared_at IS NOT NULL);

-- The keys of settings are known to the code, which takes no other.
ALTER TABLE settings_revisions DROP CONSTRAINT settings_revisions_key_check;
ALTER TABLE settings_revisions ADD CONSTRAINT settings_revisions_key_check CHECK (key ~ '^[a-z][a-z_]*$');

-- +goose Down
ALTER TABLE settings_revisions DISABLE TRIGGER settings_revisions_append_only;
DELETE FROM settings_revisions WHERE key = 'campaigns';
ALTER TABLE settings_revisions ENABLE TRIGGER settings_revisions_append_only;
ALTER TABLE settings_revisions DROP CONSTRAINT settings_revisions_key_check;
ALTER TABLE settings_revisions ADD CONSTRAINT settings_revisions_key_check
    CHECK (key IN ('quiet_hours', 'missing_zone', 'consent', 'throttle', 'frequency_cap', 'toggles'));
ALTER TABLE campaigns DROP CONSTRAINT campaigns_cleared, DROP COLUMN cleared_at, DROP COLUMN approval_id;
DROP TRIGGER targets_digest_updated ON targets;
DROP TRIGGER targets_digest_deleted ON targets;
DROP TRIGGER targets_digest_inserted ON targets;
DROP FUNCTION digest_audience();
DROP TABLE audience_digests;
DROP FUNCTION target_digest(bytea, jsonb);
DROP TABLE edits, approvals, approval_requests;
DROP FUNCTION once_only();
