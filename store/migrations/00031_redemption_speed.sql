-- What each redemption asks the database for is planned once a connection, not each time: the tally's statement and the
-- question whether the station takes part took more than a third of a redemption's time.

-- +goose Up
-- Vouchers change one by one as they are redeemed, and many at once as they are sent or expire, which counts for nothing: so
-- what an update counts for is noted row by row, and only where it counts.
-- +goose StatementBegin
CREATE FUNCTION tally_voucher() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO tally_changes (quarter, campaign_id, sent, delivered, issued, redeemed)
    SELECT date_bin('15 minutes', at, 'epoch'), campaign_id, 0, 0, sum(issued), sum(redeemed)
    FROM (VALUES (OLD.issued_at, OLD.campaign_id, -1, 0), (OLD.redeemed_at, OLD.campaign_id, 0, -1),
        (NEW.issued_at, NEW.campaign_id, 1, 0), (NEW.redeemed_at, NEW.campaign_id, 0, 1)) c (at, campaign_id, issued, redeemed)
    WHERE at IS NOT NULL GROUP BY 1, 2 HAVING sum(issued) <> 0 OR sum(redeemed) <> 0;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP TRIGGER vouchers_tally_updated ON vouchers;
CREATE TRIGGER vouchers_tally_updated AFTER UPDATE ON vouchers FOR EACH ROW
    WHEN ((OLD.issued_at, OLD.redeemed_at, OLD.campaign_id) IS DISTINCT FROM (NEW.issued_at, NEW.redeemed_at, NEW.campaign_id))
    EXECUTE FUNCTION tally_voucher();

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION station_takes_part(station uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM rollouts r WHERE r.ended_at IS NULL AND r.guardrails ? 'stations'
        AND NOT EXISTS (SELECT FROM rollout_stations s WHERE s.rollout = r.name AND s.station_id = station));
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION station_takes_part(station uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT FROM rollouts r WHERE r.ended_at IS NULL AND r.guardrails ? 'stations'
        AND NOT EXISTS (SELECT FROM rollout_stations s WHERE s.rollout = r.name AND s.station_id = station))
$$;
-- +goose StatementEnd
DROP TRIGGER vouchers_tally_updated ON vouchers;
DROP FUNCTION tally_voucher();
CREATE TRIGGER vouchers_tally_updated AFTER UPDATE ON vouchers REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
    tally('SELECT e.at, r.campaign_id, 0 AS sent, 0 AS delivered, e.issued, e.redeemed FROM (VALUES (r.issued_at, 1, 0), (r.redeemed_at, 0, 1)) e (at, issued, redeemed)');
