-- What the throttle's advisor reckons with, who reviewed the caps by it, and the opt-out audit by an index.

-- +goose Up

-- What was granted in each minute of the clock, and in the fullest second of it. Permits are forgotten after a day; these minutes
-- are folded from them an hour later at the earliest, when none can come to them any more, and kept for 90 days.
CREATE TABLE permit_minutes (
    channel text NOT NULL REFERENCES channels,
    minute timestamptz NOT NULL, -- its beginning
    granted bigint NOT NULL CHECK (granted > 0),
    busiest_second bigint NOT NULL CHECK (busiest_second > 0),
    PRIMARY KEY (channel, minute)
);
GRANT SELECT, INSERT, DELETE ON permit_minutes TO lastcall_app;

CREATE VIEW unfolded_permits AS
    SELECT channel, date_bin('1 minute', second, 'epoch') AS minute, sum(granted)::bigint AS granted, max(granted)::bigint AS busiest_second
    FROM (SELECT c.name AS channel, date_bin('1 second', p.granted_at, 'epoch') AS second, sum(p.n) AS granted FROM channels c
        JOIN permits p ON p.channel = c.name AND p.granted_at >= coalesce((SELECT max(m.minute) + interval '1 minute' FROM permit_minutes m WHERE m.channel = c.name), '-infinity')
        GROUP BY 1, 2) s GROUP BY 1, 2;
CREATE VIEW permit_use AS
    SELECT channel, minute, granted, busiest_second FROM permit_minutes UNION ALL SELECT channel, minute, granted, busiest_second FROM unfolded_permits;
GRANT SELECT ON unfolded_permits, permit_use TO lastcall_app;

-- Refusals for a rate, which are few among all that did not go straight.
CREATE INDEX target_events_rates ON target_events (at, error_code) WHERE error_code IN (4, 80007, 130429, 131048, 131056);
CREATE INDEX send_events_rates ON send_events (at, error_code) WHERE error_code IN (4, 80007, 130429, 131048, 131056);

-- Somebody looked at the caps with the advice at hand, and kept or changed them.
CREATE TABLE throttle_reviews (
    id uuid PRIMARY KEY,
    rollout text REFERENCES rollouts, -- under way; null: none was
    verdict text NOT NULL CHECK (verdict IN ('kept', 'changed')),
    caps jsonb NOT NULL,      -- the setting throttle as it was kept, or became
    revision bigint NOT NULL, -- of that; 0: the default
    advice jsonb NOT NULL,    -- with its figures, as it was then
    digest bytea NOT NULL CHECK (octet_length(digest) = 32), -- of the advice
    tightens text[] NOT NULL, -- the caps that the same figures would still tighten
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX throttle_reviews_newest ON throttle_reviews (created_at);
GRANT SELECT, INSERT ON throttle_reviews TO lastcall_app;
CREATE TRIGGER throttle_reviews_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON throttle_reviews
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whoever is in the registry is found among all who were written to. A hash index holds four bytes of each: it is the smallest,
-- and no change of a target touches it.
CREATE INDEX targets_person ON targets USING hash (msisdn_hash);
CREATE INDEX sends_person ON sends USING hash (msisdn_hash);
-- created_at is when the person said it: by the provider's clock, and the last time if they said it again. This is when it was
-- entered, and stays.
ALTER TABLE opt_outs ADD COLUMN known_at timestamptz;
UPDATE opt_outs SET known_at = created_at;
ALTER TABLE opt_outs ALTER COLUMN known_at SET DEFAULT clock_timestamp(), ALTER COLUMN known_at SET NOT NULL;

-- What has ended lately is found without reading all that ever did, every five seconds.
CREATE INDEX campaigns_finished ON campaigns (finished_at);

-- convert_to is stable, so a function of it that says that it is immutable is not inlined: each target of an import paid for a call.
ALTER FUNCTION target_digest(bytea, jsonb) STABLE;

-- +goose Down
ALTER FUNCTION target_digest(bytea, jsonb) IMMUTABLE;
DROP INDEX campaigns_finished;
ALTER TABLE opt_outs DROP COLUMN known_at;
DROP INDEX sends_person, targets_person;
DROP TABLE throttle_reviews;
DROP INDEX send_events_rates, target_events_rates;
DROP VIEW permit_use, unfolded_permits;
DROP TABLE permit_minutes;
