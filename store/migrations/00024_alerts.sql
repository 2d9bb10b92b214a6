-- Alerts, what was told of them, and incidents with their timeline.

-- +goose Up

-- Opened by an alert or by a person. What a drill opens is a drill's, forever.
CREATE TABLE incidents (
    id uuid PRIMARY KEY,
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE, -- INC-12
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'mitigated', 'resolved')),
    runbook text NOT NULL DEFAULT '',                -- '': none
    owner_id uuid REFERENCES accounts,               -- who sees to it; null: nobody yet
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    mitigated_at timestamptz,
    resolved_at timestamptz,
    resolution text NOT NULL DEFAULT '' CHECK (length(resolution) <= 2000), -- what it was, and what is to follow
    is_drill boolean NOT NULL DEFAULT false,
    drill_id uuid,
    idempotency_key text UNIQUE,
    request_hash bytea,
    CHECK (drill_id IS NULL OR is_drill),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK (state <> 'mitigated' OR mitigated_at IS NOT NULL),
    CHECK ((state = 'resolved') = (resolution <> '')),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
CREATE INDEX incidents_open ON incidents (runbook, is_drill) WHERE state <> 'resolved';
GRANT SELECT, INSERT ON incidents TO lastcall_app;
GRANT UPDATE (state, owner_id, severity, mitigated_at, resolved_at, resolution) ON incidents TO lastcall_app;

-- The clocks of the alerts are kept here, so that no restart forgets one.
CREATE TABLE alerts (
    id uuid PRIMARY KEY,
    rule text NOT NULL CHECK (rule ~ '^[a-z][a-z0-9-]{0,59}$'),
    subject text NOT NULL DEFAULT '' CHECK (length(subject) <= 200), -- what it is about; '': all of Lastcall
    title text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    group_name text NOT NULL,
    runbook text NOT NULL DEFAULT '',
    state text NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
    pending_since timestamptz NOT NULL, -- since when it holds
    fired_at timestamptz,
    clear_since timestamptz,            -- firing: since when it no longer holds
    unknown_since timestamptz,          -- since when there is no data
    resolved_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text CHECK (acknowledged_by <> ''), -- as the audit log names them
    inhibited_by uuid REFERENCES alerts DEFERRABLE INITIALLY DEFERRED, -- it is a symptom of this one: nobody is told while that fires
    notified_at timestamptz,             -- when somebody was last to be told that it fires
    resolve_told boolean NOT NULL DEFAULT false,
    acted_at timestamptz,                -- when the rule's actions were done
    evidence jsonb NOT NULL DEFAULT '[]', -- [{"at","value","n","known","detail"}]: the samples that made it fire, and those after
    sampled_at timestamptz,              -- of the newest in evidence
    incident_id uuid REFERENCES incidents,
    is_drill boolean NOT NULL DEFAULT false,
    drill_id uuid,
    CHECK ((state = 'pending') = (fired_at IS NULL)),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CHECK (acknowledged_at IS NULL OR fired_at IS NOT NULL),
    CHECK (drill_id IS NULL OR is_drill)
);
-- One at a time of each rule about each subject; a drill's beside a real one.
CREATE UNIQUE INDEX alerts_open ON alerts (rule, subject, is_drill) WHERE state <> 'resolved';
CREATE INDEX alerts_state ON alerts (state, id);
CREATE INDEX alerts_incident ON alerts (incident_id) WHERE incident_id IS NOT NULL;
CREATE INDEX alerts_drill ON alerts (drill_id) WHERE drill_id IS NOT NULL;
CREATE INDEX alerts_untold ON alerts (id) WHERE state = 'resolved' AND notified_at IS NOT NULL AND NOT resolve_told;
GRANT SELECT, INSERT, DELETE ON alerts TO lastcall_app;
GRANT UPDATE (state, pending_since, fired_at, clear_since, unknown_since, resolved_at, acknowledged_at, acknowledged_by, inhibited_by, notified_at,
    resolve_told, acted_at, evidence, sampled_at, incident_id) ON alerts TO lastcall_app;

-- One message to one channel. It is written when it goes, of what holds then; until it goes, what belongs to its group joins it.
CREATE TABLE alert_notices (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- N-17, which the message says: by it a message is found
    channel text NOT NULL CHECK (channel IN ('ops', 'mail')),
    kind text NOT NULL CHECK (kind IN ('firing', 'repeat', 'resolved', 'acknowledged', 'watchdog', 'test')),
    group_name text NOT NULL,
    is_drill boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    going_at timestamptz,     -- it is on its way: nothing joins it any more
    delivered_at timestamptz, -- the channel took it, or there is none
    outcome text NOT NULL DEFAULT '' CHECK (outcome IN ('', 'delivered', 'no_channel')),
    error text NOT NULL DEFAULT '',
    CHECK ((delivered_at IS NULL) = (outcome = ''))
);
CREATE INDEX alert_notices_waiting ON alert_notices (channel, created_at) WHERE delivered_at IS NULL;
CREATE INDEX alert_notices_group ON alert_notices (group_name, created_at);
CREATE INDEX alert_notices_newest ON alert_notices (channel, created_at);
GRANT SELECT, INSERT ON alert_notices TO lastcall_app;
GRANT UPDATE (attempts, going_at, delivered_at, outcome, error) ON alert_notices TO lastcall_app;

CREATE TABLE alert_notice_lines (
    notice_id uuid NOT NULL REFERENCES alert_notices,
    alert_id uuid NOT NULL REFERENCES alerts,
    kind text NOT NULL CHECK (kind IN ('firing', 'repeat', 'resolved', 'acknowledged', 'test')),
    PRIMARY KEY (notice_id, alert_id, kind)
);
CREATE INDEX alert_notice_lines_alert ON alert_notice_lines (alert_id);
GRANT SELECT, INSERT ON alert_notice_lines TO lastcall_app;

-- What was measured last, and what each rule makes of it.
CREATE TABLE alert_readings (
    rule text NOT NULL,
    subject text NOT NULL,
    value double precision NOT NULL,
    n bigint NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('holds', 'clear', 'unknown')),
    detail text NOT NULL DEFAULT '',
    at timestamptz NOT NULL,
    since timestamptz NOT NULL, -- since when the verdict is this one
    PRIMARY KEY (rule, subject)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE, DELETE ON alert_readings TO lastcall_app;

-- A drill's own, shorter clock of a rule, for what its faults make.
CREATE TABLE alert_drill_clocks (
    drill_id uuid NOT NULL,
    rule text NOT NULL,
    seconds integer NOT NULL CHECK (seconds >= 0),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (drill_id, rule)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON alert_drill_clocks TO lastcall_app;

-- Each minute, what campaigns had accepted and failed, for as long as a share of failures is reckoned over.
CREATE TABLE alert_counts (
    at timestamptz NOT NULL,
    campaign_id uuid NOT NULL REFERENCES campaigns,
    done bigint NOT NULL,   -- targets that were tried, with what became of them
    failed bigint NOT NULL,
    PRIMARY KEY (campaign_id, at)
);
CREATE INDEX alert_counts_at ON alert_counts (at);
GRANT SELECT, INSERT, DELETE ON alert_counts TO lastcall_app;

-- What people and Lastcall did about an incident. Alerts, notices and probes are told from their own rows.
CREATE TABLE incident_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id uuid NOT NULL REFERENCES incidents,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('opened', 'note', 'owner', 'severity', 'step_ticked', 'step_unticked', 'step_run', 'campaigns_paused', 'mitigated', 'reopened', 'resolved')),
    step integer CHECK ((kind LIKE 'step%') = (step IS NOT NULL)),
    text text NOT NULL DEFAULT '' CHECK (length(text) <= 2000),
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor text NOT NULL
);
CREATE INDEX incident_events_of ON incident_events (incident_id, id);
GRANT SELECT, INSERT ON incident_events TO lastcall_app;
CREATE TRIGGER incident_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON incident_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The oldest effect that was not delivered, at once.
CREATE INDEX outbox_waiting ON outbox (created_at) WHERE delivered_at IS NULL;

-- +goose Down
DROP INDEX outbox_waiting;
DROP TABLE incident_events, alert_counts, alert_drill_clocks, alert_readings, alert_notice_lines, alert_notices, alerts, incidents;
ALTER TABLE settings_revisions DISABLE TRIGGER settings_revisions_append_only;
DELETE FROM settings_revisions WHERE key = 'on_call';
ALTER TABLE settings_revisions ENABLE TRIGGER settings_revisions_append_only;
