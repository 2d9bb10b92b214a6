-- Drills: incidents on purpose, and what was measured of each.

-- +goose Up
CREATE TABLE drills (
    id uuid PRIMARY KEY,
    scenario text NOT NULL CHECK (scenario ~ '^[a-z][a-z0-9-]{0,39}$'),
    experiment jsonb NOT NULL, -- the scenario as it is run, for good
    fast boolean NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    state text NOT NULL DEFAULT 'preflight' CHECK (state IN ('preflight', 'injected', 'recovering', 'completed', 'failed', 'aborted', 'interrupted')),
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor text NOT NULL,
    override_id uuid REFERENCES overrides, -- that lets it run in production; null: on the sandbox
    campaign_id uuid REFERENCES campaigns, -- its own, without targets, that a rule is to pause
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    injected_at timestamptz, -- the fault is there
    reverted_at timestamptz, -- the fault is gone
    ended_at timestamptz,
    stopped_by text NOT NULL DEFAULT '',  -- who ordered it to stop, as the audit log names them
    why text NOT NULL DEFAULT '' CHECK (length(why) <= 500), -- it failed, was stopped or interrupted
    score integer CHECK (score BETWEEN 0 AND 100),
    deviated boolean,
    journal jsonb,
    idempotency_key text UNIQUE,
    request_hash bytea,
    CHECK ((state IN ('completed', 'failed', 'aborted', 'interrupted')) = (ended_at IS NOT NULL)),
    CHECK ((ended_at IS NOT NULL) = (score IS NOT NULL) AND (score IS NULL) = (journal IS NULL) AND (score IS NULL) = (deviated IS NULL)),
    CHECK (reverted_at IS NULL OR injected_at IS NOT NULL),
    -- What has put a fault in the way has taken it away again before it is over.
    CONSTRAINT drills_reverted CHECK (ended_at IS NULL OR injected_at IS NULL OR reverted_at IS NOT NULL),
    -- What never ran scores nothing.
    CONSTRAINT drills_unrun CHECK (injected_at IS NOT NULL OR coalesce(score, 0) = 0),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
-- One at a time.
CREATE UNIQUE INDEX drills_open ON drills ((true)) WHERE ended_at IS NULL;
CREATE INDEX drills_scenario ON drills (scenario, id DESC);
GRANT SELECT, INSERT ON drills TO lastcall_app;
GRANT UPDATE (state, campaign_id, injected_at, reverted_at, ended_at, stopped_by, why, score, deviated, journal) ON drills TO lastcall_app;

-- What was done, looked at and seen, each once: what the journal is made of.
CREATE TABLE drill_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    drill_id uuid NOT NULL REFERENCES drills,
    phase text NOT NULL CHECK (phase IN ('before', 'run', 'rollbacks', 'after')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    type text NOT NULL CHECK (type IN ('action', 'probe', 'event')),
    status text NOT NULL CHECK (status IN ('succeeded', 'failed')),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    output jsonb,
    UNIQUE (drill_id, phase, name)
);
GRANT SELECT, INSERT ON drill_entries TO lastcall_app;

-- A drill that is over stays as it was.
-- +goose StatementBegin
CREATE FUNCTION drill_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'drill % is over', OLD.id USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER drills_over BEFORE UPDATE ON drills FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION drill_over();

-- +goose Down
DROP TABLE drill_entries, drills;
DROP FUNCTION drill_over();
