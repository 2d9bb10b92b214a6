-- What a project lead let go on although a rule holds it back, for a bounded time.

-- +goose Up
CREATE TABLE overrides (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('quiet_hours', 'production_drill')),
    campaign_id uuid REFERENCES campaigns, -- what it is for; null: of the whole installation
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    requested_by uuid NOT NULL REFERENCES accounts,
    state text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'approved', 'active', 'ended', 'rejected', 'expired', 'cancelled')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ask_until timestamptz NOT NULL,                        -- undecided then, it expires
    approval_id uuid REFERENCES approvals,                 -- the decision, once it was looked up
    decided_at timestamptz,                                -- the decision took effect
    active_at timestamptz,
    ended_at timestamptz,                                  -- nothing can happen any more
    end_reason text NOT NULL DEFAULT '' CHECK (length(end_reason) <= 500),
    idempotency_key text UNIQUE,
    request_hash bytea,
    CONSTRAINT overrides_window CHECK (ends_at > starts_at AND ends_at - starts_at <= interval '24 hours'),
    CONSTRAINT overrides_future CHECK (ends_at > created_at AND starts_at >= created_at - interval '1 minute'),
    CHECK (ask_until > created_at AND ask_until <= ends_at),
    CHECK ((kind = 'quiet_hours') = (campaign_id IS NOT NULL)),
    CHECK ((approval_id IS NULL) = (decided_at IS NULL)),
    -- Nothing is let go on without a decision.
    CONSTRAINT overrides_decided CHECK (state NOT IN ('approved', 'active', 'ended', 'rejected') OR approval_id IS NOT NULL),
    CHECK (state <> 'active' OR active_at IS NOT NULL),
    CHECK ((state IN ('ended', 'rejected', 'expired', 'cancelled')) = (ended_at IS NOT NULL)),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
-- One at a time, of a kind, of a campaign. Every claim looks here for its campaign's.
CREATE UNIQUE INDEX overrides_open ON overrides (campaign_id, kind) NULLS NOT DISTINCT WHERE state IN ('requested', 'approved', 'active');
CREATE INDEX overrides_campaign ON overrides (campaign_id, id DESC);
GRANT SELECT, INSERT ON overrides TO lastcall_app;
GRANT UPDATE (state, approval_id, decided_at, active_at, ended_at, end_reason) ON overrides TO lastcall_app;

-- What was asked for stays so, and what is over stays over.
-- +goose StatementBegin
CREATE FUNCTION override_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'override % is over', OLD.id USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER overrides_over BEFORE UPDATE ON overrides FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION override_over();

-- The override by which a cohort goes, as it was told to the audit log last.
ALTER TABLE cohorts ADD COLUMN override_id uuid REFERENCES overrides;
GRANT UPDATE (override_id) ON cohorts TO lastcall_app;

-- +goose Down
ALTER TABLE cohorts DROP COLUMN override_id;
DROP TABLE overrides;
DROP FUNCTION override_over();
ALTER TABLE settings_revisions DISABLE TRIGGER settings_revisions_append_only;
DELETE FROM settings_revisions WHERE key = 'overrides';
ALTER TABLE settings_revisions ENABLE TRIGGER settings_revisions_append_only;
