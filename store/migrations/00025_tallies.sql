-- What was sent, delivered, issued and redeemed, by the quarter of an hour: figures of a day or a month that cost the same
-- however many rows there are. Days of every zone begin with a quarter.

-- +goose Up
CREATE TABLE tallies (
    quarter timestamptz NOT NULL, -- its beginning
    campaign_id uuid,             -- null: single messages, and vouchers of no campaign
    sent bigint NOT NULL DEFAULT 0,      -- messages that the provider took in this quarter
    delivered bigint NOT NULL DEFAULT 0, -- of them, those that have arrived since
    issued bigint NOT NULL DEFAULT 0,    -- vouchers
    redeemed bigint NOT NULL DEFAULT 0,
    CONSTRAINT tallies_once UNIQUE NULLS NOT DISTINCT (quarter, campaign_id)
) WITH (fillfactor = 50);

-- What is not in there yet. Triggers only ever add rows here, so that nobody waits for anybody to count; fold_tallies takes
-- them over. The sum of both is exact at any time.
CREATE TABLE tally_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    quarter timestamptz NOT NULL,
    campaign_id uuid,
    sent bigint NOT NULL,
    delivered bigint NOT NULL,
    issued bigint NOT NULL,
    redeemed bigint NOT NULL
);

CREATE VIEW tallied AS
    SELECT quarter, campaign_id, sent, delivered, issued, redeemed FROM tallies
    UNION ALL SELECT quarter, campaign_id, sent, delivered, issued, redeemed FROM tally_changes;
GRANT SELECT ON tallies, tally_changes, tallied TO lastcall_app;

-- Notes what a statement changed. The trigger's argument says what one row r counts for: at, campaign_id, sent, delivered,
-- issued, redeemed; with at null for nothing.
-- +goose StatementBegin
CREATE FUNCTION tally() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    added text := format('SELECT 1 AS n, w.* FROM new_rows r, LATERAL (%s) w WHERE w.at IS NOT NULL', TG_ARGV[0]);
    gone text := format('SELECT -1 AS n, w.* FROM old_rows r, LATERAL (%s) w WHERE w.at IS NOT NULL', TG_ARGV[0]);
BEGIN
    EXECUTE 'INSERT INTO tally_changes (quarter, campaign_id, sent, delivered, issued, redeemed)
        SELECT * FROM (SELECT date_bin(''15 minutes'', at, ''epoch''), campaign_id, sum(n * sent) AS sent, sum(n * delivered) AS delivered,
                sum(n * issued) AS issued, sum(n * redeemed) AS redeemed
            FROM (' || CASE TG_OP WHEN 'INSERT' THEN added WHEN 'DELETE' THEN gone ELSE added || ' UNION ALL ' || gone END || ') c GROUP BY 1, 2) s
        WHERE sent <> 0 OR delivered <> 0 OR issued <> 0 OR redeemed <> 0';
    RETURN NULL;
END $$;

-- Takes over up to batch changes and says how many. One at a time: who finds another at it leaves it to that one.
CREATE FUNCTION fold_tallies(batch integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    folded integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('fold_tallies')) THEN
        RETURN 0;
    END IF;
    WITH gone AS (DELETE FROM tally_changes WHERE id IN (SELECT id FROM tally_changes ORDER BY id LIMIT batch) RETURNING *),
        taken AS (INSERT INTO tallies AS t (quarter, campaign_id, sent, delivered, issued, redeemed)
            SELECT quarter, campaign_id, sum(sent), sum(delivered), sum(issued), sum(redeemed) FROM gone GROUP BY 1, 2
            ON CONFLICT ON CONSTRAINT tallies_once DO UPDATE SET sent = t.sent + excluded.sent, delivered = t.delivered + excluded.delivered,
                issued = t.issued + excluded.issued, redeemed = t.redeemed + excluded.redeemed)
    SELECT count(*) INTO folded FROM gone;
    RETURN folded;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION fold_tallies(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fold_tallies(integer) TO lastcall_app;

CREATE TRIGGER targets_tally_inserted AFTER INSERT ON targets REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT r.sent_at AS at, r.campaign_id, 1 AS sent, (r.state IN (''delivered'', ''read''))::int AS delivered, 0 AS issued, 0 AS redeemed');
CREATE TRIGGER targets_tally_updated AFTER UPDATE ON targets REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT r.sent_at AS at, r.campaign_id, 1 AS sent, (r.state IN (''delivered'', ''read''))::int AS delivered, 0 AS issued, 0 AS redeemed');
CREATE TRIGGER targets_tally_deleted AFTER DELETE ON targets REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT r.sent_at AS at, r.campaign_id, 1 AS sent, (r.state IN (''delivered'', ''read''))::int AS delivered, 0 AS issued, 0 AS redeemed');

-- Of single messages those of drills are left out here: there is no campaign to tell them by.
CREATE TRIGGER sends_tally_inserted AFTER INSERT ON sends REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT CASE WHEN NOT r.is_drill THEN r.sent_at END AS at, NULL::uuid AS campaign_id, 1 AS sent, (r.state IN (''delivered'', ''read''))::int AS delivered, 0 AS issued, 0 AS redeemed');
CREATE TRIGGER sends_tally_updated AFTER UPDATE ON sends REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT CASE WHEN NOT r.is_drill THEN r.sent_at END AS at, NULL::uuid AS campaign_id, 1 AS sent, (r.state IN (''delivered'', ''read''))::int AS delivered, 0 AS issued, 0 AS redeemed');
CREATE TRIGGER sends_tally_deleted AFTER DELETE ON sends REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT CASE WHEN NOT r.is_drill THEN r.sent_at END AS at, NULL::uuid AS campaign_id, 1 AS sent, (r.state IN (''delivered'', ''read''))::int AS delivered, 0 AS issued, 0 AS redeemed');

CREATE TRIGGER vouchers_tally_inserted AFTER INSERT ON vouchers REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT e.at, r.campaign_id, 0 AS sent, 0 AS delivered, e.issued, e.redeemed FROM (VALUES (r.issued_at, 1, 0), (r.redeemed_at, 0, 1)) e (at, issued, redeemed)');
CREATE TRIGGER vouchers_tally_updated AFTER UPDATE ON vouchers REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT e.at, r.campaign_id, 0 AS sent, 0 AS delivered, e.issued, e.redeemed FROM (VALUES (r.issued_at, 1, 0), (r.redeemed_at, 0, 1)) e (at, issued, redeemed)');
CREATE TRIGGER vouchers_tally_deleted AFTER DELETE ON vouchers REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT e.at, r.campaign_id, 0 AS sent, 0 AS delivered, e.issued, e.redeemed FROM (VALUES (r.issued_at, 1, 0), (r.redeemed_at, 0, 1)) e (at, issued, redeemed)');

-- What there was before this migration.
INSERT INTO tallies (quarter, campaign_id, sent, delivered, issued, redeemed)
SELECT date_bin('15 minutes', at, 'epoch'), campaign_id, sum(sent), sum(delivered), sum(issued), sum(redeemed) FROM (
    SELECT sent_at AS at, campaign_id, 1 AS sent, (state IN ('delivered', 'read'))::int AS delivered, 0 AS issued, 0 AS redeemed FROM targets
    UNION ALL SELECT sent_at, NULL, 1, (state IN ('delivered', 'read'))::int, 0, 0 FROM sends WHERE NOT is_drill
    UNION ALL SELECT issued_at, campaign_id, 0, 0, 1, 0 FROM vouchers
    UNION ALL SELECT redeemed_at, campaign_id, 0, 0, 0, 1 FROM vouchers) w WHERE at IS NOT NULL GROUP BY 1, 2;

-- Drills are few; figures leave them out by these.
CREATE INDEX campaigns_drills ON campaigns (id) WHERE is_drill;
CREATE INDEX sends_drills ON sends (id) WHERE is_drill;
-- The rows behind figures.
CREATE INDEX sends_sent ON sends (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX audit_log_blocks ON audit_log ((diff ->> 'reason'), created_at, id) WHERE action = 'outbound_policy_check';

-- +goose Down
DROP INDEX audit_log_blocks, sends_sent, sends_drills, campaigns_drills;
DROP TRIGGER vouchers_tally_deleted ON vouchers;
DROP TRIGGER vouchers_tally_updated ON vouchers;
DROP TRIGGER vouchers_tally_inserted ON vouchers;
DROP TRIGGER sends_tally_deleted ON sends;
DROP TRIGGER sends_tally_updated ON sends;
DROP TRIGGER sends_tally_inserted ON sends;
DROP TRIGGER targets_tally_deleted ON targets;
DROP TRIGGER targets_tally_updated ON targets;
DROP TRIGGER targets_tally_inserted ON targets;
DROP FUNCTION fold_tallies(integer), tally();
DROP VIEW tallied;
DROP TABLE tally_changes, tallies;
