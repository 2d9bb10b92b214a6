-- Redemptions that fail on purpose, what drills try of them, and drills that begin by themselves.

-- +goose Up
ALTER TABLE redemption_refusals ADD COLUMN fault_id uuid REFERENCES faults, -- it failed of this fault; always a drill's
    ADD CONSTRAINT redemption_refusals_fault CHECK (fault_id IS NULL OR is_drill AND kind = 'system') NOT VALID;

-- What a drill tried to redeem: nothing, in the way vouchers are. Kept as long as what probes found.
CREATE TABLE drill_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    drill_id uuid NOT NULL REFERENCES drills,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    failed text NOT NULL DEFAULT '' -- the code; '': it went well
);
CREATE INDEX drill_attempts_of ON drill_attempts (drill_id, at);
GRANT SELECT, INSERT, DELETE ON drill_attempts TO lastcall_app;

-- Which drills begin by themselves, and when: one a scenario. What Temporal makes of it follows this.
CREATE TABLE drill_schedules (
    scenario text PRIMARY KEY CHECK (scenario ~ '^[a-z][a-z0-9-]{0,39}$'),
    fast boolean NOT NULL,
    days integer[] NOT NULL CHECK (cardinality(days) BETWEEN 1 AND 7 AND days <@ ARRAY[0, 1, 2, 3, 4, 5, 6]), -- of the week, 0 is Sunday
    at text NOT NULL CHECK (at ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'), -- of the zone's clocks
    zone text NOT NULL CHECK (length(zone) BETWEEN 1 AND 64),        -- IANA
    paused boolean NOT NULL DEFAULT false,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    actor text NOT NULL,                                     -- who wrote it last, as the audit log names them
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_due timestamptz,    -- the last time that it was to begin one
    last_drill uuid REFERENCES drills, -- that it began then
    last_refused text NOT NULL DEFAULT '', -- why it began none, for people; '': it did
    CHECK (last_drill IS NULL OR last_refused = '')
);
GRANT SELECT, INSERT, UPDATE, DELETE ON drill_schedules TO lastcall_app;

-- +goose Down
DROP TABLE drill_schedules, drill_attempts;
ALTER TABLE redemption_refusals DROP CONSTRAINT redemption_refusals_fault, DROP COLUMN fault_id;
