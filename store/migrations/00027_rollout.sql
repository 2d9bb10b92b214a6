-- A rollout: its phase and what that forbids, its plan, what was proved, who signed, and its gates.

-- +goose Up
CREATE TABLE rollouts (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,39}$'),
    phase text NOT NULL DEFAULT 'staging' CHECK (phase IN ('staging', 'pilot', 'production', 'live')),
    phase_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    opened_by uuid NOT NULL REFERENCES accounts, -- who opened the phase: they sign nothing in it
    guardrails jsonb NOT NULL,                   -- the phase's, by the plan that is followed
    plan_version integer NOT NULL DEFAULT 1,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    started_by uuid NOT NULL REFERENCES accounts,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    end_reason text NOT NULL DEFAULT '' CHECK (length(end_reason) <= 500)
);
-- One at a time: its phase is the installation's.
CREATE UNIQUE INDEX rollouts_one ON rollouts ((true)) WHERE ended_at IS NULL;
GRANT SELECT, INSERT ON rollouts TO lastcall_app;
GRANT UPDATE (phase, phase_since, opened_by, guardrails, plan_version, ended_at, end_reason) ON rollouts TO lastcall_app;

-- The versions of its plan: what was agreed on stays readable.
CREATE TABLE rollout_plans (
    rollout text NOT NULL REFERENCES rollouts,
    version integer NOT NULL CHECK (version > 0),
    plan jsonb NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    author_id uuid NOT NULL REFERENCES accounts,
    reason text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (rollout, version)
);
GRANT SELECT, INSERT ON rollout_plans TO lastcall_app;
CREATE TRIGGER rollout_plans_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rollout_plans
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE rollouts ADD FOREIGN KEY (name, plan_version) REFERENCES rollout_plans DEFERRABLE INITIALLY DEFERRED;

-- What was found about an item. A row is what was found from `at` to `last_at`: another finding is another row.
CREATE TABLE rollout_evidence (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rollout text NOT NULL REFERENCES rollouts,
    item text NOT NULL,
    phase text NOT NULL,
    plan_version integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('passed', 'failed', 'inconclusive')),
    summary text NOT NULL CHECK (length(summary) <= 500),
    figures jsonb NOT NULL DEFAULT '[]',
    digest bytea NOT NULL CHECK (octet_length(digest) = 32), -- what signatures are bound to
    build text NOT NULL DEFAULT '',                          -- that looked
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (last_at >= at),
    FOREIGN KEY (rollout, plan_version) REFERENCES rollout_plans
);
CREATE INDEX rollout_evidence_item ON rollout_evidence (rollout, item, id DESC);
GRANT SELECT, INSERT ON rollout_evidence TO lastcall_app;
GRANT UPDATE (last_at, summary, figures, build) ON rollout_evidence TO lastcall_app;

-- When each item of the phase is looked at next.
CREATE TABLE rollout_items (
    rollout text NOT NULL REFERENCES rollouts,
    item text NOT NULL,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    evidence_id bigint REFERENCES rollout_evidence, -- the newest; null: nobody has looked yet
    PRIMARY KEY (rollout, item)
);
GRANT SELECT, INSERT, UPDATE ON rollout_items TO lastcall_app;

-- The signatures and waivers that took effect: the workflow looked each up. Whether one still holds its approval tells.
CREATE TABLE rollout_signatures (
    approval_id uuid PRIMARY KEY REFERENCES approvals,
    rollout text NOT NULL REFERENCES rollouts,
    item text NOT NULL,
    seat text NOT NULL, -- the role whose it is; '': a waiver
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX rollout_signatures_item ON rollout_signatures (rollout, item);
GRANT SELECT, INSERT ON rollout_signatures TO lastcall_app;
CREATE TRIGGER rollout_signatures_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rollout_signatures
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who wanted to open the next phase, and what became of it.
CREATE TABLE rollout_gates (
    id uuid PRIMARY KEY,
    rollout text NOT NULL REFERENCES rollouts,
    from_phase text NOT NULL,
    to_phase text NOT NULL,
    asked_by uuid NOT NULL REFERENCES accounts,
    reason text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at timestamptz,
    opened boolean,
    missing jsonb NOT NULL DEFAULT '[]', -- what was open when it was refused
    CHECK ((decided_at IS NULL) = (opened IS NULL))
);
CREATE UNIQUE INDEX rollout_gates_open ON rollout_gates (rollout) WHERE decided_at IS NULL;
CREATE UNIQUE INDEX rollout_gates_opened ON rollout_gates (rollout, to_phase) WHERE opened;
GRANT SELECT, INSERT ON rollout_gates TO lastcall_app;
GRANT UPDATE (decided_at, opened, missing) ON rollout_gates TO lastcall_app;

-- The stations that take part while not all do.
CREATE TABLE rollout_stations (
    rollout text NOT NULL REFERENCES rollouts,
    station_id uuid NOT NULL REFERENCES stations,
    enrolled_by uuid NOT NULL REFERENCES accounts,
    enrolled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (rollout, station_id)
);
GRANT SELECT, INSERT, DELETE ON rollout_stations TO lastcall_app;

-- Whether vouchers may be redeemed at a station in the phase that the installation is in: asked with each of them.
-- +goose StatementBegin
CREATE FUNCTION station_takes_part(station uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT FROM rollouts r WHERE r.ended_at IS NULL AND r.guardrails ? 'stations'
        AND NOT EXISTS (SELECT FROM rollout_stations s WHERE s.rollout = r.name AND s.station_id = station))
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION station_takes_part(uuid);
DROP TABLE rollout_stations, rollout_gates, rollout_signatures, rollout_items, rollout_evidence;
ALTER TABLE rollouts DROP CONSTRAINT rollouts_name_plan_version_fkey;
DROP TABLE rollout_plans, rollouts;
