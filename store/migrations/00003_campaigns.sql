-- Campaigns, their targets, and the permits without which none is sent.

-- +goose Up
CREATE TABLE campaigns (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    channel text NOT NULL CHECK (channel IN ('whatsapp')),
    template_id uuid NOT NULL REFERENCES templates, -- a version: later edits are other rows
    variables jsonb NOT NULL DEFAULT '{}',          -- values that hold for every target
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'scheduled', 'preflight', 'running',
        'paused', 'settling', 'done', 'stopped', 'failed')),
    gate text NOT NULL DEFAULT 'open' CHECK (gate IN ('open', 'paused', 'stopped')),
    needs_human text NOT NULL DEFAULT '', -- what somebody must mend before it goes on
    send_at timestamptz,
    idempotency_key text UNIQUE,
    request_hash bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,  -- the order to start was given
    finished_at timestamptz, -- nothing will happen any more
    report jsonb,
    CHECK ((status IN ('done', 'stopped', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((status = 'draft') = (started_at IS NULL)),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
CREATE INDEX campaigns_active ON campaigns (id) WHERE status NOT IN ('draft', 'done', 'stopped', 'failed');

-- A cohort is the targets of a campaign that share every rule that looks at the clock. Policy is
-- evaluated once a cohort; its counts are kept by a trigger on targets, so they cannot drift.
CREATE TABLE cohorts (
    campaign_id uuid NOT NULL REFERENCES campaigns,
    id smallint NOT NULL,
    country char(2) NOT NULL,
    zone text NOT NULL,
    locale text NOT NULL,
    targets bigint NOT NULL DEFAULT 0,
    queued bigint NOT NULL DEFAULT 0 CHECK (queued >= 0),
    sending bigint NOT NULL DEFAULT 0 CHECK (sending >= 0),
    sent bigint NOT NULL DEFAULT 0 CHECK (sent >= 0),
    delivered bigint NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    read bigint NOT NULL DEFAULT 0 CHECK (read >= 0),
    failed bigint NOT NULL DEFAULT 0 CHECK (failed >= 0),
    opted_out bigint NOT NULL DEFAULT 0 CHECK (opted_out >= 0),
    unknown bigint NOT NULL DEFAULT 0 CHECK (unknown >= 0),
    cancelled bigint NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    -- the last block told to the audit log, so that each is told once
    blocked_reason text NOT NULL DEFAULT '',
    blocked_until timestamptz,
    PRIMARY KEY (campaign_id, id),
    UNIQUE (campaign_id, country, zone, locale),
    CHECK (targets = queued + sending + sent + delivered + read + failed + opted_out + unknown + cancelled)
) WITH (fillfactor = 50);

CREATE TABLE targets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id uuid NOT NULL,
    cohort smallint NOT NULL,
    msisdn text NOT NULL CHECK (msisdn ~ '^\+[1-9][0-9]{6,14}$'),
    msisdn_hash bytea NOT NULL CHECK (octet_length(msisdn_hash) = 32),
    variables jsonb,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'delivered', 'read',
        'failed', 'opted_out', 'unknown', 'cancelled')),
    not_before timestamptz, -- queued: not again before then
    reason text,            -- queued with not_before, failed, unknown: why
    owner text,             -- sending: "<run>/<lane>/<batch>"
    fence integer,          -- sending: the owner's attempt
    attempt integer NOT NULL DEFAULT 0,
    provider_id text,
    error_code integer,
    sending_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    read_at timestamptz,
    ended_at timestamptz, -- failed, opted_out, unknown, cancelled
    UNIQUE (campaign_id, msisdn),
    FOREIGN KEY (campaign_id, cohort) REFERENCES cohorts,
    CHECK ((state = 'sending') = (owner IS NOT NULL)),
    CHECK ((owner IS NULL) = (fence IS NULL)),
    CHECK (state <> 'sending' OR attempt > 0)
);
-- Serves the queue of a cohort in order, the rows a lane holds, and the panel's filter by state.
CREATE INDEX targets_state ON targets (campaign_id, state, cohort, id);

-- What is not on the happy path, which the target's own timestamps tell.
CREATE TABLE target_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id bigint NOT NULL REFERENCES targets,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('requeued', 'failed', 'opted_out', 'unknown', 'settled')),
    attempt integer NOT NULL,
    reason text NOT NULL DEFAULT '',
    error_code integer
);
CREATE INDEX target_events_target ON target_events (target_id, id);

-- Keeps the counts of cohorts: whoever writes targets, the sums are right in the same transaction. Rows are
-- taken in the order of their key, so that two writers never wait for each other in a circle.
-- +goose StatementBegin
CREATE FUNCTION count_targets() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
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
        FROM (' || changed || ') c GROUP BY campaign_id, cohort ORDER BY campaign_id, cohort'
    LOOP
        UPDATE cohorts SET targets = targets + d.targets, queued = queued + d.queued, sending = sending + d.sending,
            sent = sent + d.sent, delivered = delivered + d.delivered, read = read + d.read,
            failed = failed + d.failed, opted_out = opted_out + d.opted_out, unknown = unknown + d.unknown,
            cancelled = cancelled + d.cancelled
        WHERE campaign_id = d.campaign_id AND id = d.cohort;
    END LOOP;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER targets_inserted AFTER INSERT ON targets
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_targets();
CREATE TRIGGER targets_updated AFTER UPDATE ON targets
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_targets();
CREATE TRIGGER targets_deleted AFTER DELETE ON targets
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_targets();

-- Who dispatches each lane of a campaign now. A worker that was cut off holds an older batch or fence of the
-- same run and is refused.
CREATE TABLE lanes (
    campaign_id uuid NOT NULL REFERENCES campaigns,
    lane smallint NOT NULL,
    run text NOT NULL,
    batch integer NOT NULL,
    fence integer NOT NULL,
    PRIMARY KEY (campaign_id, lane)
);

CREATE TABLE imports (
    id uuid PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaigns,
    lines bigint NOT NULL,
    invalid bigint NOT NULL,
    duplicates bigint NOT NULL,
    targets bigint NOT NULL,
    ignored_columns text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (lines = invalid + duplicates + targets)
);
CREATE INDEX imports_campaign ON imports (campaign_id);

-- The lines an import could not take; the first ten thousand of each.
CREATE TABLE import_lines (
    import_id uuid NOT NULL REFERENCES imports,
    line bigint NOT NULL,
    field text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (import_id, line)
);

-- The permit ledger. The channel's row is the lock under which permits are granted.
CREATE TABLE channels (
    name text PRIMARY KEY,
    cumulative bigint NOT NULL DEFAULT 0, -- permits ever granted
    granted_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO channels (name) VALUES ('whatsapp');

CREATE TABLE permits (
    channel text NOT NULL REFERENCES channels,
    cumulative bigint NOT NULL, -- including this grant
    granted_at timestamptz NOT NULL,
    n integer NOT NULL CHECK (n > 0),
    campaign_id uuid REFERENCES campaigns,
    PRIMARY KEY (channel, cumulative)
);
CREATE INDEX permits_window ON permits (channel, granted_at, cumulative);

-- What the channel may still grant now: no window of 61 s (a minute, 500 ms in which a granted send may start,
-- 500 ms on its way to the provider) ever holds more than per_minute. retry_after is when the next permit
-- comes free; null when permits are left, or when the cap is 0 and none ever will.
-- +goose StatementBegin
CREATE FUNCTION permit_budget(of_channel text, per_minute bigint, at timestamptz,
    OUT available bigint, OUT retry_after timestamptz) LANGUAGE plpgsql STABLE AS $$
DECLARE
    span CONSTANT interval := interval '61 seconds';
    used bigint;
BEGIN
    SELECT coalesce(sum(n), 0) INTO used FROM (
        SELECT (SELECT cumulative FROM permits WHERE channel = of_channel ORDER BY cumulative DESC LIMIT 1)
             - (SELECT cumulative - n FROM permits WHERE channel = of_channel AND granted_at > at - span
                ORDER BY granted_at, cumulative LIMIT 1) AS n) w;
    available := greatest(per_minute - used, 0);
    IF available = 0 AND per_minute > 0 THEN
        -- The grant with which the window would come below the cap again must leave it.
        SELECT p.granted_at + span INTO retry_after FROM permits p
        WHERE p.channel = of_channel AND p.granted_at > at - span
          AND p.cumulative > (SELECT max(cumulative) FROM permits WHERE channel = of_channel) - per_minute
        ORDER BY p.granted_at, p.cumulative LIMIT 1;
    END IF;
END $$;
-- +goose StatementEnd

-- Grants up to wanted permits from database time. The caller holds the channel's row lock.
-- +goose StatementBegin
CREATE FUNCTION grant_permits(of_channel text, per_minute bigint, wanted bigint, for_campaign uuid,
    OUT granted bigint, OUT retry_after timestamptz) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    c channels;
    budget record;
BEGIN
    SELECT * INTO STRICT c FROM channels WHERE name = of_channel FOR UPDATE;
    c.granted_at := greatest(c.granted_at, clock_timestamp()); -- never backwards, whatever the clock does
    budget := permit_budget(of_channel, per_minute, c.granted_at);
    granted := least(wanted, budget.available);
    retry_after := budget.retry_after;
    IF granted > 0 THEN
        INSERT INTO permits (channel, cumulative, granted_at, n, campaign_id)
        VALUES (of_channel, c.cumulative + granted, c.granted_at, granted, for_campaign);
        UPDATE channels SET cumulative = c.cumulative + granted, granted_at = c.granted_at WHERE name = of_channel;
    END IF;
END $$;
-- +goose StatementEnd

GRANT SELECT, INSERT, UPDATE ON campaigns, targets, lanes TO lastcall_app;
GRANT SELECT, INSERT ON target_events, imports, import_lines TO lastcall_app;
GRANT SELECT ON cohorts, channels, permits TO lastcall_app;
GRANT INSERT (campaign_id, id, country, zone, locale), UPDATE (blocked_reason, blocked_until) ON cohorts TO lastcall_app;
GRANT DELETE ON permits TO lastcall_app;
GRANT UPDATE (name) ON channels TO lastcall_app; -- what it takes to lock the row

-- +goose Down
DROP FUNCTION grant_permits(text, bigint, bigint, uuid), permit_budget(text, bigint, timestamptz);
DROP TABLE permits, channels, import_lines, imports, lanes, target_events, targets, cohorts, campaigns;
DROP FUNCTION count_targets();
