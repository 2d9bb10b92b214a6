-- Single sends: one message to one person, with its timeline. And what runs of the smoke tests found.

-- +goose Up
CREATE TABLE sends (
    id uuid PRIMARY KEY,
    channel text NOT NULL REFERENCES channels,
    msisdn text NOT NULL CHECK (msisdn ~ '^\+[1-9][0-9]{6,14}$' OR msisdn = 'erased-' || id),
    msisdn_hash bytea NOT NULL CHECK (octet_length(msisdn_hash) = 32),
    country char(2) NOT NULL,
    zone text NOT NULL DEFAULT '',   -- IANA, '' if unknown
    locale text NOT NULL DEFAULT '', -- BCP 47
    template_id uuid NOT NULL REFERENCES templates, -- a version
    marketing boolean NOT NULL,
    variables jsonb,
    when_allowed boolean NOT NULL DEFAULT false, -- it waits until the rules let it go
    voucher_id uuid, -- what it brings, if a voucher
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'delivered', 'read',
        'failed', 'opted_out', 'unknown', 'cancelled')),
    reason text,            -- queued and waiting, failed, unknown, cancelled: why
    block jsonb,            -- what the policy last said against it
    not_before timestamptz, -- queued: not again before then
    owner text,             -- sending: who holds it
    attempt integer NOT NULL DEFAULT 0, -- tries at the provider
    run integer NOT NULL DEFAULT 0,     -- how often it was ordered again: which of its workflows looks after it
    provider_id text,
    error_code integer,
    actor_kind text NOT NULL, -- who asked for it
    actor_id text NOT NULL,
    actor text NOT NULL,
    idempotency_key text UNIQUE,
    request_hash bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sending_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    ended_at timestamptz, -- failed, opted_out, unknown, cancelled
    CHECK ((state = 'sending') = (owner IS NOT NULL)),
    CHECK (state <> 'sending' OR attempt > 0),
    CHECK (msisdn LIKE '+%' OR state NOT IN ('queued', 'sending') AND variables IS NULL AND provider_id IS NULL),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
CREATE INDEX sends_state ON sends (state, id);
CREATE INDEX sends_recipient ON sends (msisdn, id);
CREATE INDEX sends_template ON sends (template_id, id);
CREATE INDEX sends_queued ON sends (msisdn_hash) WHERE state = 'queued';
GRANT SELECT, INSERT, UPDATE ON sends TO lastcall_app;

-- Everything that happened to a send.
CREATE TABLE send_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    send_id uuid NOT NULL REFERENCES sends,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('requested', 'held', 'blocked', 'sending', 'sent', 'delivered', 'read', 'requeued',
        'failed', 'opted_out', 'unknown', 'cancelled', 'resent', 'late_receipt')),
    attempt integer NOT NULL,
    reason text NOT NULL DEFAULT '',
    why text NOT NULL DEFAULT '', -- the policy's words, or a person's
    until timestamptz,            -- held: no longer than
    error_code integer,
    actor text NOT NULL DEFAULT '' -- the person who did it; '': Lastcall itself
);
CREATE INDEX send_events_send ON send_events (send_id, id);
CREATE UNIQUE INDEX send_events_late ON send_events (send_id, attempt, reason) WHERE kind = 'late_receipt';
GRANT SELECT, INSERT ON send_events TO lastcall_app;

-- Who opts out ends what waits for them: each of these sends looks at the rules again.
-- +goose StatementBegin
CREATE FUNCTION wake_opted_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (kind, key, payload) SELECT 'send.wake', 'send/' || s.id, jsonb_build_object('send_id', s.id, 'run', s.run)
    FROM new_rows o JOIN sends s ON s.msisdn_hash = o.msisdn_hash AND s.state = 'queued';
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER opt_outs_wake_sends AFTER INSERT ON opt_outs
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION wake_opted_out();

-- What runs of the smoke tests found. Rows stay as they are.
CREATE TABLE smoke_runs (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,39}$'),
    build text NOT NULL CHECK (length(build) <= 200),
    environment text NOT NULL CHECK (length(environment) <= 200),
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('passed', 'failed')),
    passed integer NOT NULL CHECK (passed >= 0),
    failed integer NOT NULL CHECK (failed >= 0),
    items jsonb NOT NULL, -- [{"id","name","outcome","evidence"}]
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (finished_at >= started_at),
    CHECK ((outcome = 'passed') = (failed = 0 AND passed > 0))
);
CREATE INDEX smoke_runs_kind ON smoke_runs (kind, id);
GRANT SELECT, INSERT ON smoke_runs TO lastcall_app;

-- +goose Down
DROP TABLE smoke_runs;
DROP TRIGGER opt_outs_wake_sends ON opt_outs;
DROP FUNCTION wake_opted_out();
DROP TABLE send_events, sends;
