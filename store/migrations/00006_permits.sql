-- The permit ledger, whole: a second's cap beside the minute's, the provider's limits by recipient, campaigns that
-- share a channel by weight, and single sends that go before them.

-- +goose Up
ALTER TABLE campaigns ADD COLUMN weight smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100);

ALTER TABLE permits ADD COLUMN start_within interval NOT NULL DEFAULT interval '500 milliseconds', -- or the permit is void
    ADD COLUMN recipient text; -- of a single send, which has no target
CREATE INDEX permits_single ON permits (channel, granted_at) WHERE recipient IS NOT NULL;

-- Who got a permit lately: kept only while a limit by recipient is on, and only for as long as it looks back.
CREATE TABLE recent_recipients (
    channel text NOT NULL REFERENCES channels,
    msisdn text NOT NULL,
    granted_at timestamptz NOT NULL, -- the last one
    PRIMARY KEY (channel, msisdn)
);
CREATE INDEX recent_recipients_oldest ON recent_recipients (channel, granted_at);
ALTER TABLE channels ADD COLUMN recipients bigint NOT NULL DEFAULT 0, -- rows of recent_recipients
    ADD COLUMN kept_tier bigint NOT NULL DEFAULT 0,                   -- the limits for which they are all there
    ADD COLUMN kept_pair interval NOT NULL DEFAULT interval '0';

-- Campaigns that want more permits than they get. pass is what each has had, divided by its weight, on a scale of
-- their own: whoever has the lowest is served first. Lost in a crash of Postgres, and found again in a moment.
CREATE UNLOGGED TABLE permit_wants (
    channel text NOT NULL,
    campaign_id uuid NOT NULL,
    pass double precision NOT NULL,
    wants_until timestamptz NOT NULL, -- if it is not heard of again
    PRIMARY KEY (channel, campaign_id)
) WITH (fillfactor = 50);

-- Single sends that wait for a permit.
CREATE UNLOGGED TABLE permit_singles (
    id uuid PRIMARY KEY,
    channel text NOT NULL,
    waits_until timestamptz NOT NULL -- if it is not heard of again
);
GRANT SELECT ON recent_recipients, permit_wants TO lastcall_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON permit_singles TO lastcall_app;

DROP FUNCTION grant_permits(text, bigint, bigint, uuid), permit_budget(text, bigint, timestamptz);

-- The ledger's clock.
CREATE FUNCTION permit_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- What the channel may still grant. A message is received from its grant on until it may start no more, and 500 ms
-- on its way: so the windows looked at are longer than those promised. A minute's is 61 s; a second's is 1.5 s and
-- what each permit had for its start; a day's is 24 h and 1 s. available is null to nobody: 0 says that none is left,
-- bound_by by which limit, retry_after when the next comes free, null if none ever will. fresh is how many new
-- recipients fit into the tier, null without one; fresh_at is when the next does, if none do now.
-- +goose StatementBegin
CREATE FUNCTION permit_budget(of_channel text, per_minute bigint, per_second bigint, tier bigint, at timestamptz,
    OUT available bigint, OUT retry_after timestamptz, OUT bound_by text, OUT fresh bigint, OUT fresh_at timestamptz,
    OUT used_minute bigint, OUT used_second bigint, OUT used_tier bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    minute CONSTANT interval := '61 seconds';
    second CONSTANT interval := '1.5 seconds'; -- and start_within
    day CONSTANT interval := '24 hours 1 second';
    newest bigint := (SELECT cumulative FROM permits WHERE channel = of_channel ORDER BY cumulative DESC LIMIT 1);
    later timestamptz;
BEGIN
    used_minute := coalesce(newest - (SELECT cumulative - n FROM permits WHERE channel = of_channel AND granted_at > at - minute
        ORDER BY granted_at, cumulative LIMIT 1), 0);
    available := greatest(per_minute - used_minute, 0);
    IF available = 0 THEN
        bound_by := 'per_minute';
        IF per_minute > 0 THEN
            -- The grant with which the window would come below the cap again must leave it.
            SELECT granted_at + minute INTO retry_after FROM permits
            WHERE channel = of_channel AND cumulative > newest - per_minute ORDER BY cumulative LIMIT 1;
        END IF;
    END IF;
    IF per_second > 0 THEN
        -- Permits that may start later than others, from before this cap was set, stay in the window for longer.
        used_second := coalesce(newest - (SELECT cumulative - n FROM permits WHERE channel = of_channel
            AND granted_at > at - second - interval '500 milliseconds' AND granted_at > at - second - start_within
            ORDER BY granted_at, cumulative LIMIT 1), 0);
        available := least(available, greatest(per_second - used_second, 0));
        IF used_second >= per_second AND (bound_by IS NULL OR retry_after IS NOT NULL) THEN
            SELECT granted_at + second + start_within INTO later FROM permits
            WHERE channel = of_channel AND cumulative > newest - per_second ORDER BY cumulative LIMIT 1;
            IF retry_after IS NULL OR later > retry_after THEN
                bound_by := 'per_second';
                retry_after := later;
            END IF;
        END IF;
    END IF;
    IF tier > 0 THEN
        used_tier := (SELECT recipients FROM channels WHERE name = of_channel)
            - (SELECT count(*) FROM recent_recipients WHERE channel = of_channel AND granted_at <= at - day);
        fresh := greatest(tier - used_tier, 0);
        IF fresh = 0 THEN
            SELECT granted_at + day INTO fresh_at FROM recent_recipients WHERE channel = of_channel AND granted_at > at - day
            ORDER BY granted_at OFFSET used_tier - tier LIMIT 1;
        END IF;
    END IF;
END $$;
-- +goose StatementEnd

-- Locks the channel's row, moves its time, which never goes backwards, to now, and forgets recipients on whom no
-- limit looks any more. The recipients of a channel without such limits are forgotten when they are set.
-- +goose StatementBegin
CREATE FUNCTION open_ledger(of_channel text, tier bigint, pair interval) RETURNS channels LANGUAGE plpgsql AS $$
DECLARE
    c channels;
    gone bigint;
BEGIN
    SELECT * INTO STRICT c FROM channels WHERE name = of_channel FOR UPDATE;
    c.granted_at := greatest(c.granted_at, permit_clock());
    IF tier > 0 OR pair > interval '0' THEN
        DELETE FROM recent_recipients WHERE channel = of_channel AND granted_at <= c.granted_at - interval '1 second'
            - CASE WHEN tier > 0 THEN greatest(pair, interval '24 hours') ELSE pair END;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN
            UPDATE channels SET recipients = recipients - gone WHERE name = of_channel RETURNING recipients INTO c.recipients;
        END IF;
    END IF;
    RETURN c;
END $$;
-- +goose StatementEnd

-- Enters n permits into the ledger, and who got them if a limit by recipient is on.
-- +goose StatementBegin
CREATE FUNCTION enter_permits(c channels, n bigint, may_start interval, for_campaign uuid, single text, numbers text[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    added bigint := 0;
BEGIN
    IF numbers IS NOT NULL THEN
        WITH entered AS (
            INSERT INTO recent_recipients (channel, msisdn, granted_at) SELECT c.name, m, c.granted_at FROM unnest(numbers) m
            ON CONFLICT (channel, msisdn) DO UPDATE SET granted_at = excluded.granted_at RETURNING xmax = 0 AS new)
        SELECT count(*) FILTER (WHERE new) INTO added FROM entered;
    END IF;
    INSERT INTO permits (channel, cumulative, granted_at, n, campaign_id, start_within, recipient)
    VALUES (c.name, c.cumulative + n, c.granted_at, n, for_campaign, may_start, single);
    UPDATE channels SET cumulative = c.cumulative + n, granted_at = c.granted_at, recipients = c.recipients + added WHERE name = c.name;
END $$;
-- +goose StatementEnd

-- Until when a campaign counts as one that wants permits: one that was told when to come has its place kept until
-- a little after.
CREATE FUNCTION wanted_until(available bigint, retry_after timestamptz, at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT CASE WHEN available = 0 THEN coalesce(retry_after, at) ELSE at END + interval '2 seconds' $$;

-- What a campaign may have of the free permits of a channel, and its pass. Of the permits that are free each campaign that wants
-- some gets so many that the passes of all come as close to one level as they can: whoever had less for its weight
-- goes first. A campaign that wants nothing for ten seconds begins anew, level with the one furthest behind,
-- except for what both got of the present window: a window that was empty is given away before anybody is refused.
-- +goose StatementBegin
CREATE FUNCTION permit_share(of_channel text, for_campaign uuid, free bigint, at timestamptz,
    OUT contended boolean, OUT share bigint, OUT mine double precision, OUT weight integer) LANGUAGE plpgsql AS $$
DECLARE
    other record;
    level double precision;
    weights double precision := 0;
    passes double precision := 0;
BEGIN
    SELECT c.weight INTO STRICT weight FROM campaigns c WHERE c.id = for_campaign;
    SELECT pass INTO mine FROM permit_wants
    WHERE channel = of_channel AND campaign_id = for_campaign AND wants_until > at - interval '10 seconds';
    SELECT w.campaign_id, w.pass, c.weight INTO other FROM permit_wants w
    JOIN campaigns c ON c.id = w.campaign_id AND c.gate = 'open' AND c.finished_at IS NULL
    WHERE w.channel = of_channel AND w.campaign_id <> for_campaign AND w.wants_until > at ORDER BY w.pass LIMIT 1;
    contended := other.campaign_id IS NOT NULL;
    IF NOT contended THEN
        share := free;
        RETURN;
    END IF;
    IF mine IS NULL THEN
        SELECT other.pass + coalesce(sum(n) FILTER (WHERE campaign_id = for_campaign), 0)::float8 / weight
            - coalesce(sum(n) FILTER (WHERE campaign_id = other.campaign_id), 0)::float8 / other.weight INTO mine
        FROM permits WHERE channel = of_channel AND granted_at >= (SELECT min(granted_at) FROM permits
            WHERE channel = of_channel AND granted_at > at - interval '61 seconds' AND campaign_id = for_campaign);
    END IF;
    FOR other IN SELECT w.pass, c.weight FROM permit_wants w
        JOIN campaigns c ON c.id = w.campaign_id AND c.gate = 'open' AND c.finished_at IS NULL
        WHERE w.channel = of_channel AND w.campaign_id <> for_campaign AND w.wants_until > at
        UNION ALL SELECT mine, permit_share.weight ORDER BY pass
    LOOP
        EXIT WHEN other.pass >= level;
        weights := weights + other.weight;
        passes := passes + other.weight * other.pass;
        level := (free + passes) / weights;
    END LOOP;
    share := ceil(greatest((level - mine) * weight, 0) - 1e-6);
END $$;
-- +goose StatementEnd

-- What the ledger could grant a campaign now, without its lock; fresh and fresh_at are those of the budget, less
-- the single sends that wait. With none, the campaign is noted as one that wants some.
-- +goose StatementBegin
CREATE FUNCTION permit_hint(of_channel text, per_minute bigint, per_second bigint, tier bigint, for_campaign uuid,
    OUT available bigint, OUT bound_by text, OUT retry_after timestamptz, OUT fresh bigint, OUT fresh_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    soon CONSTANT interval := '250 milliseconds';
    at timestamptz := greatest((SELECT granted_at FROM channels WHERE name = of_channel), permit_clock());
    b record := permit_budget(of_channel, per_minute, per_second, tier, at);
    singles bigint := (SELECT count(*) FROM permit_singles WHERE channel = of_channel AND waits_until > at);
    free bigint := greatest(b.available - singles, 0);
    s record := permit_share(of_channel, for_campaign, free, at);
BEGIN
    fresh := CASE WHEN b.fresh IS NOT NULL THEN greatest(b.fresh - singles, 0) END;
    fresh_at := CASE WHEN fresh = 0 THEN coalesce(b.fresh_at, at + soon) END;
    available := least(free, s.share);
    IF available = 0 THEN
        bound_by := CASE WHEN b.available = 0 THEN b.bound_by WHEN free = 0 THEN 'single_sends' ELSE 'share' END;
        retry_after := CASE WHEN b.available = 0 THEN b.retry_after ELSE at + soon END;
        INSERT INTO permit_wants AS w (channel, campaign_id, pass, wants_until)
        VALUES (of_channel, for_campaign, coalesce(s.mine, 0), wanted_until(b.available, retry_after, at))
        ON CONFLICT (channel, campaign_id) DO UPDATE SET wants_until = excluded.wants_until,
            pass = CASE WHEN w.wants_until > at - interval '10 seconds' THEN w.pass ELSE excluded.pass END
        WHERE w.wants_until < excluded.wants_until - interval '1 second';
    END IF;
END $$;
-- +goose StatementEnd

-- Grants permits for as many of a campaign's targets as may go now, in their order, from the ledger's time; each
-- may start for may_start. paired are those whose recipients got a message too lately, and until when. With none
-- granted, bound_by says why and retry_after when to ask again.
-- +goose StatementBegin
CREATE FUNCTION grant_permits(of_channel text, per_minute bigint, per_second bigint, tier bigint, pair interval, may_start interval,
    for_campaign uuid, wanted bigint[], OUT granted bigint[], OUT bound_by text, OUT retry_after timestamptz,
    OUT paired bigint[], OUT paired_until timestamptz[]) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    soon CONSTANT interval := '250 milliseconds';
    c channels := open_ledger(of_channel, tier, pair);
    at timestamptz := c.granted_at;
    b record := permit_budget(of_channel, per_minute, per_second, tier, at);
    singles bigint := (SELECT count(*) FROM permit_singles WHERE channel = of_channel AND waits_until > at);
    free bigint := greatest(b.available - singles, 0);
    by_recipient boolean := tier > 0 OR pair > interval '0';
    eligible bigint[] := wanted;
    s record;
    n bigint;
BEGIN
    granted := '{}';
    bound_by := b.bound_by;
    retry_after := b.retry_after;
    IF free = 0 AND b.available > 0 THEN
        bound_by := 'single_sends';
        retry_after := at + soon;
    END IF;
    IF by_recipient THEN
        SELECT array_agg(id ORDER BY i) FILTER (WHERE NOT too_soon AND (known OR b.fresh IS NULL OR nth <= b.fresh - singles)),
            array_agg(id ORDER BY i) FILTER (WHERE too_soon), array_agg(last + pair + interval '1 second' ORDER BY i) FILTER (WHERE too_soon)
        INTO eligible, paired, paired_until FROM (
            SELECT q.*, row_number() OVER (PARTITION BY known OR too_soon ORDER BY i) AS nth FROM (
                SELECT w.id, w.i, r.granted_at AS last, r.granted_at IS NOT NULL AS known,
                    pair > interval '0' AND coalesce(r.granted_at > at - pair - interval '1 second', false) AS too_soon
                FROM unnest(wanted) WITH ORDINALITY w (id, i) JOIN targets t ON t.id = w.id
                LEFT JOIN recent_recipients r ON r.channel = of_channel AND r.msisdn = t.msisdn) q) judged;
        eligible := coalesce(eligible, '{}');
        IF cardinality(eligible) = 0 THEN -- it wants no permit, but room in the tier or a moment's time
            bound_by := CASE WHEN paired IS NULL THEN 'tier' ELSE 'pair' END;
            retry_after := CASE WHEN paired IS NULL THEN coalesce(b.fresh_at, at + soon) ELSE paired_until[1] END;
            RETURN;
        END IF;
    END IF;

    s := permit_share(of_channel, for_campaign, free, at);
    n := least(free, s.share, cardinality(eligible));
    IF n = 0 AND free > 0 THEN
        bound_by := 'share';
        retry_after := at + soon;
    END IF;
    IF s.contended OR n < cardinality(eligible) THEN
        DELETE FROM permit_wants WHERE channel = of_channel AND wants_until < at - interval '10 seconds' AND campaign_id <> for_campaign;
        INSERT INTO permit_wants AS w (channel, campaign_id, pass, wants_until)
        VALUES (of_channel, for_campaign, coalesce(s.mine, 0) + n::float8 / s.weight,
            wanted_until(b.available, retry_after, at))
        ON CONFLICT (channel, campaign_id) DO UPDATE SET pass = excluded.pass, wants_until = excluded.wants_until
        WHERE n > 0 OR w.wants_until < excluded.wants_until - interval '1 second';
    ELSIF s.mine IS NOT NULL THEN
        UPDATE permit_wants SET pass = pass + n::float8 / s.weight WHERE channel = of_channel AND campaign_id = for_campaign;
    END IF;
    IF n > 0 THEN
        granted := eligible[1:n];
        PERFORM enter_permits(c, n, may_start, for_campaign, NULL,
            CASE WHEN by_recipient THEN (SELECT array_agg(t.msisdn) FROM targets t WHERE t.id = ANY (eligible[1:n])) END);
    END IF;
END $$;
-- +goose StatementEnd

-- Grants one permit to a single send, before any campaign. It waits in permit_singles until then.
-- +goose StatementBegin
CREATE FUNCTION grant_single(of_channel text, per_minute bigint, per_second bigint, tier bigint, pair interval, may_start interval,
    single uuid, recipient text, OUT granted boolean, OUT bound_by text, OUT retry_after timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    c channels := open_ledger(of_channel, tier, pair);
    at timestamptz := c.granted_at;
    b record := permit_budget(of_channel, per_minute, per_second, tier, at);
    by_recipient boolean := tier > 0 OR pair > interval '0';
    last timestamptz;
BEGIN
    IF by_recipient THEN
        last := (SELECT r.granted_at FROM recent_recipients r WHERE r.channel = of_channel AND r.msisdn = recipient);
    END IF;
    bound_by := b.bound_by;
    retry_after := b.retry_after;
    IF b.available > 0 AND b.fresh = 0 AND last IS NULL THEN
        bound_by := 'tier';
        retry_after := b.fresh_at;
    ELSIF b.available > 0 AND pair > interval '0' AND last > at - pair - interval '1 second' THEN
        bound_by := 'pair';
        retry_after := last + pair + interval '1 second';
    END IF;
    granted := bound_by IS NULL;
    IF granted THEN
        PERFORM enter_permits(c, 1, may_start, NULL, recipient, CASE WHEN by_recipient THEN ARRAY[recipient] END);
        DELETE FROM permit_singles WHERE id = single OR waits_until < at - interval '1 hour';
    ELSIF bound_by IN ('tier', 'pair') THEN -- what it waits for is not a permit
        UPDATE permit_singles SET waits_until = at WHERE id = single;
    ELSE
        UPDATE permit_singles SET waits_until = greatest(coalesce(retry_after, at), at) + interval '2 seconds' WHERE id = single;
    END IF;
END $$;
-- +goose StatementEnd

-- Makes sure that all recipients are known on whom the limits will look. Of those that are too many for the
-- tier the latest will do: there is no room before all others have left the window.
-- +goose StatementBegin
CREATE FUNCTION keep_recipients(of_channel text, tier bigint, pair interval)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    c channels;
    at timestamptz;
    since timestamptz;
BEGIN
    -- One at a time sets limits; one that changes none of these does not wait for the ledger.
    IF EXISTS (SELECT FROM channels WHERE name = of_channel AND kept_tier = tier AND kept_pair = pair) THEN
        RETURN;
    END IF;
    c := open_ledger(of_channel, tier, pair);
    at := c.granted_at;
    since := at - interval '1 second' - CASE WHEN tier > 0 THEN greatest(pair, interval '24 hours') ELSE pair END;
    IF tier = 0 AND pair = interval '0' THEN
        DELETE FROM recent_recipients WHERE channel = of_channel;
    ELSIF tier > c.kept_tier OR pair > c.kept_pair THEN
        INSERT INTO recent_recipients AS known (channel, msisdn, granted_at)
        SELECT of_channel, msisdn, last FROM (
            SELECT msisdn, max(granted) AS last, row_number() OVER (ORDER BY max(granted) DESC) AS nth FROM (
                -- Targets are marked before they get their permit, for which they may have waited.
                SELECT t.msisdn, t.sending_at + interval '1 second' AS granted FROM targets t
                WHERE t.sending_at > since - interval '1 second' AND t.campaign_id IN (
                    SELECT k.id FROM campaigns k JOIN lanes l ON l.campaign_id = k.id
                    WHERE k.channel = of_channel AND l.taken_at > since - interval '1 hour')
                UNION ALL SELECT p.recipient, p.granted_at FROM permits p
                WHERE p.channel = of_channel AND p.recipient IS NOT NULL AND p.granted_at > since) sent GROUP BY msisdn) latest
        WHERE nth <= tier OR last > at - pair - interval '1 second'
        ON CONFLICT (channel, msisdn) DO UPDATE SET granted_at = greatest(known.granted_at, excluded.granted_at);
    END IF;
    UPDATE channels SET kept_tier = tier, kept_pair = pair, granted_at = at,
        recipients = (SELECT count(*) FROM recent_recipients WHERE channel = of_channel) WHERE name = of_channel;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION keep_recipients(text, bigint, interval), grant_single(text, bigint, bigint, bigint, interval, interval, uuid, text),
    grant_permits(text, bigint, bigint, bigint, interval, interval, uuid, bigint[]), permit_share(text, uuid, bigint, timestamptz),
    permit_hint(text, bigint, bigint, bigint, uuid), wanted_until(bigint, timestamptz, timestamptz),
    enter_permits(channels, bigint, interval, uuid, text, text[]), open_ledger(text, bigint, interval),
    permit_budget(text, bigint, bigint, bigint, timestamptz), permit_clock();
DROP TABLE permit_singles, permit_wants, recent_recipients;
ALTER TABLE channels DROP COLUMN recipients, DROP COLUMN kept_tier, DROP COLUMN kept_pair;
DROP INDEX permits_single;
ALTER TABLE permits DROP COLUMN start_within, DROP COLUMN recipient;
ALTER TABLE campaigns DROP COLUMN weight;
ALTER TABLE settings_revisions DISABLE TRIGGER settings_revisions_append_only;
UPDATE settings_revisions SET value = jsonb_build_object('whatsapp', jsonb_build_object('per_minute', value->'whatsapp'->'per_minute'))
    WHERE key = 'throttle';
ALTER TABLE settings_revisions ENABLE TRIGGER settings_revisions_append_only;
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
