-- What the provider holds back: channels and templates that it takes nothing from, and what people told it.

-- +goose Up

-- A channel's circuit breaker. Open: nothing goes. When retry_at has come, one lane makes it half-open: it tries
-- until retry_at, its new value, with one target at a time. Success closes it, failure opens it for longer.
CREATE TABLE channel_states (
    channel text PRIMARY KEY REFERENCES channels,
    state text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
    cause text NOT NULL DEFAULT '' CHECK (cause IN ('', 'trouble', 'access', 'account', 'spam', 'registration', 'operator')),
    code integer NOT NULL DEFAULT 0,     -- the provider's; 0: none
    failures integer NOT NULL DEFAULT 0, -- openings in a row, with no long good time between
    reason text NOT NULL DEFAULT '',     -- of whoever opened or closed it by hand
    opened_at timestamptz,
    retry_at timestamptz,                -- null: only by hand
    trial_by text,                       -- half-open: the lane that tries
    changed_at timestamptz NOT NULL DEFAULT 'epoch',
    slowed_until timestamptz,            -- the provider wants it slower: nothing goes before
    slowed_code integer NOT NULL DEFAULT 0,
    CHECK ((state = 'half_open') = (trial_by IS NOT NULL)),
    CHECK ((state = 'closed') = (cause = '')),
    CHECK (state = 'closed' OR opened_at IS NOT NULL)
);
INSERT INTO channel_states (channel) SELECT name FROM channels;

-- How a template stands with the provider, by language; '' is all languages. What is not here may be sent.
CREATE TABLE template_states (
    name text NOT NULL CHECK (length(name) <= 512),
    language text NOT NULL CHECK (length(language) <= 64), -- BCP 47
    state text NOT NULL CHECK (state IN ('active', 'paused', 'disabled', 'rejected', 'deleted')),
    source text NOT NULL CHECK (source IN ('webhook', 'send', 'trial', 'operator')),
    code integer NOT NULL DEFAULT 0,   -- the provider's, if a send found out
    note text NOT NULL DEFAULT '',     -- the provider's reason, or the operator's
    at timestamptz NOT NULL DEFAULT 'epoch', -- the provider's clock: of the newest event known
    pauses integer NOT NULL DEFAULT 0, -- so far: the provider pauses for longer each time
    since timestamptz NOT NULL DEFAULT clock_timestamp(), -- it has stood so
    retry_at timestamptz,              -- paused: when a send may try; null: never by itself
    trial_by text,
    PRIMARY KEY (name, language),
    CHECK (retry_at IS NULL OR state = 'paused')
);
CREATE INDEX template_states_suspended ON template_states (name) WHERE state <> 'active';

-- The events behind it, each once: the provider repeats them, and its clock shows whole seconds only.
CREATE TABLE template_events (
    name text NOT NULL,
    language text NOT NULL,
    at timestamptz NOT NULL,
    event text NOT NULL,
    PRIMARY KEY (name, language, at, event)
);

-- The last word of a recipient about marketing, as the provider told it.
CREATE TABLE preferences (
    msisdn_hash bytea PRIMARY KEY CHECK (octet_length(msisdn_hash) = 32),
    stop boolean NOT NULL,
    at timestamptz NOT NULL -- the provider's clock
);

-- What of a channel and a template holds messages back, as JSON; null when nothing does.
-- +goose StatementBegin
CREATE FUNCTION standing(of_channel text, of_template uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM channel_states s WHERE s.channel = of_channel AND (s.state <> 'closed' OR s.slowed_until > clock_timestamp()))
        AND NOT EXISTS (SELECT FROM templates x JOIN template_states s ON s.name = x.name AND s.state <> 'active' WHERE x.id = of_template) THEN
        RETURN NULL; -- with nearly every claim
    END IF;
    RETURN (SELECT jsonb_build_object('channel', c.held, 'template', t.held)
    FROM (SELECT (SELECT to_jsonb(s) FROM channel_states s WHERE s.channel = of_channel
            AND (s.state <> 'closed' OR s.slowed_until > clock_timestamp())) AS held) c,
        (SELECT (SELECT jsonb_build_object('name', x.name, 'locales', (SELECT jsonb_object_agg(k, '') FROM jsonb_object_keys(x.texts) k),
                'states', (SELECT jsonb_agg(to_jsonb(s)) FROM template_states s WHERE s.name = x.name))
            FROM templates x WHERE x.id = of_template
              AND EXISTS (SELECT FROM template_states s WHERE s.name = x.name AND s.state <> 'active')) AS held) t
    WHERE c.held IS NOT NULL OR t.held IS NOT NULL);
END $$;
-- +goose StatementEnd

GRANT SELECT, INSERT, UPDATE ON channel_states, template_states, preferences TO lastcall_app;
GRANT SELECT, INSERT ON template_events TO lastcall_app;
GRANT UPDATE (created_at, reason) ON opt_outs TO lastcall_app; -- the provider tells of an opt-out again, later

-- +goose Down
REVOKE UPDATE (created_at, reason) ON opt_outs FROM lastcall_app;
DROP FUNCTION standing(text, uuid);
DROP TABLE preferences, template_events, template_states, channel_states;
