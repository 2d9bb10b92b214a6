-- Edge functions: what probes found of them, and faults that are put before them on purpose.

-- +goose Up
CREATE TABLE edge_functions (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z-]{0,39}$'), -- of the registry in domain/probe
    state text NOT NULL DEFAULT 'unknown' CHECK (state IN ('green', 'amber', 'red', 'unknown')), -- as last probed
    since timestamptz NOT NULL DEFAULT clock_timestamp(), -- in this state
    checked_at timestamptz,                               -- null: never probed
    latency_ms integer CHECK (latency_ms >= 0),
    detail text NOT NULL DEFAULT '' CHECK (length(detail) <= 300), -- what was found, for people
    is_drill boolean NOT NULL DEFAULT false, -- a fault was in the way of the last probe on purpose
    told_since timestamptz                   -- the since of the outage that is in the audit log already
);
GRANT SELECT, INSERT, UPDATE ON edge_functions TO lastcall_app;

-- Each probe, kept for 90 days: availability counts them, and the time without any counts against it.
CREATE TABLE probe_results (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edge_function text NOT NULL REFERENCES edge_functions,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL CHECK (state IN ('green', 'amber', 'red')),
    outcome text NOT NULL DEFAULT 'answered' CHECK (outcome IN ('answered', 'refused', 'unreachable', 'not_set')), -- of this probe alone
    latency_ms integer CHECK (latency_ms >= 0),
    detail text NOT NULL DEFAULT '' CHECK (length(detail) <= 300),
    is_drill boolean NOT NULL DEFAULT false -- a fault was in its way on purpose: in no figure of availability
);
CREATE INDEX probe_results_of ON probe_results (edge_function, at);
GRANT SELECT, INSERT, DELETE ON probe_results TO lastcall_app;

-- Faults that the transport of the gateway puts in the way on purpose. They end by their expiry, whatever else dies.
CREATE TABLE faults (
    id uuid PRIMARY KEY,
    edge_function text NOT NULL REFERENCES edge_functions,
    kind text NOT NULL CHECK (kind IN ('timeout', 'reset', 'rate_limited', 'server_error', 'slow', 'wrong_body', 'stop_polling')),
    share numeric(4, 3) NOT NULL DEFAULT 1 CHECK (share > 0 AND share <= 1), -- of the calls
    delay_ms integer CHECK ((kind = 'slow') = (delay_ms IS NOT NULL) AND delay_ms BETWEEN 1 AND 60000),
    drill_id uuid,       -- the drill that it belongs to; null: somebody's own trial
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz, -- switched off before its expiry
    CONSTRAINT faults_bounded CHECK (expires_at > created_at AND expires_at - created_at <= interval '2 hours')
);
-- An edge function has one open fault at a time: its row is locked to make one.
CREATE INDEX faults_open ON faults (edge_function, expires_at) WHERE ended_at IS NULL;
GRANT SELECT, INSERT ON faults TO lastcall_app;
GRANT UPDATE (ended_at) ON faults TO lastcall_app;

-- A worker that is told not to polls no dispatch, and lives on.
ALTER TABLE workers ADD COLUMN polls_dispatch boolean NOT NULL DEFAULT true;

-- What a drill makes stays out of figures and signals, forever.
ALTER TABLE campaigns ADD COLUMN is_drill boolean NOT NULL DEFAULT false;
ALTER TABLE sends ADD COLUMN is_drill boolean NOT NULL DEFAULT false;
ALTER TABLE redemption_refusals ADD COLUMN is_drill boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE redemption_refusals DROP COLUMN is_drill;
ALTER TABLE sends DROP COLUMN is_drill;
ALTER TABLE campaigns DROP COLUMN is_drill;
ALTER TABLE workers DROP COLUMN polls_dispatch;
DROP TABLE faults, probe_results, edge_functions;
