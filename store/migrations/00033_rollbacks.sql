-- Signals to roll back, rollbacks with their steps, and what whoever changed a rule accepted.

-- +goose Up

-- What a change of a rule was said to mean when it was saved, and what had been sent until then: what becomes of it beyond that
-- is a signal.
CREATE TABLE settings_impacts (
    revision bigint PRIMARY KEY REFERENCES settings_revisions,
    blocked bigint CHECK (blocked >= 0), -- recipients that it was said to hold back, now or when it first decides otherwise; null: nobody was told
    goes bigint CHECK (goes >= 0),       -- that were said to go within a quarter of an hour; null: nobody was told
    done jsonb NOT NULL                  -- {campaign: messages tried}, of those at work then
);
GRANT SELECT, INSERT ON settings_impacts TO lastcall_app;

-- One at a time: it is open until somebody recovered from it, or the rollout has ended.
CREATE TABLE rollbacks (
    id uuid PRIMARY KEY,
    rollout text NOT NULL REFERENCES rollouts,
    phase text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'recovering', 'recovered', 'abandoned')),
    signal text NOT NULL DEFAULT '',        -- that tripped; '': a person ordered it
    alert_id uuid REFERENCES alerts DEFERRABLE INITIALLY DEFERRED, -- with the samples that tripped it
    ordered_by uuid REFERENCES accounts,    -- null: Lastcall itself
    actor text NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    redemptions_off boolean NOT NULL DEFAULT false,
    rehearsal boolean NOT NULL DEFAULT false,
    toggles jsonb NOT NULL,                 -- as they were, and are to be again
    incident_id uuid REFERENCES incidents,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    safe_at timestamptz,                    -- when it was read back that nothing goes any more
    done_at timestamptz,                    -- every step was taken
    recovery_by uuid REFERENCES accounts,
    recovery_reason text NOT NULL DEFAULT '' CHECK (length(recovery_reason) <= 500),
    recovery_at timestamptz,
    recovered_at timestamptz,
    CHECK (state = 'running' OR state = 'abandoned' OR safe_at IS NOT NULL AND done_at IS NOT NULL),
    CHECK ((state = 'recovered') = (recovered_at IS NOT NULL)),
    CHECK ((signal = '') = (ordered_by IS NOT NULL))
);
CREATE UNIQUE INDEX rollbacks_one ON rollbacks ((true)) WHERE state IN ('running', 'done', 'recovering');
CREATE INDEX rollbacks_of ON rollbacks (rollout, id DESC);
GRANT SELECT, INSERT ON rollbacks TO lastcall_app;
GRANT UPDATE (state, incident_id, safe_at, done_at, recovery_by, recovery_reason, recovery_at, recovered_at) ON rollbacks TO lastcall_app;

CREATE TABLE rollback_steps (
    rollback_id uuid NOT NULL REFERENCES rollbacks,
    step text NOT NULL,
    position smallint NOT NULL,
    due_at timestamptz DEFAULT clock_timestamp(), -- when it is tried next; null: people have the word
    started_at timestamptz,
    done_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    detail text NOT NULL DEFAULT '' CHECK (length(detail) <= 500), -- what was found, or why it is not done yet
    PRIMARY KEY (rollback_id, step)
);
GRANT SELECT, INSERT, DELETE ON rollback_steps TO lastcall_app;
GRANT UPDATE (due_at, started_at, done_at, tries, detail) ON rollback_steps TO lastcall_app;

-- +goose Down
DROP TABLE rollback_steps, rollbacks, settings_impacts;
