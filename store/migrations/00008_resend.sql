-- Sending again what failed or is unknown, and what receipts tell about attempts that are no longer the last.

-- +goose Up
-- How often the campaign was sent again: it names the workflow that looks after it now.
ALTER TABLE campaigns ADD COLUMN resend integer NOT NULL DEFAULT 0 CHECK (resend >= 0);

CREATE TABLE resends (
    campaign_id uuid NOT NULL REFERENCES campaigns,
    n integer NOT NULL CHECK (n > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome jsonb NOT NULL, -- what was chosen, as it was answered
    idempotency_key text,
    request_hash bytea,
    PRIMARY KEY (campaign_id, n),
    UNIQUE (campaign_id, idempotency_key),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
GRANT SELECT, INSERT ON resends TO lastcall_app;

ALTER TABLE target_events DROP CONSTRAINT target_events_kind_check;
ALTER TABLE target_events ADD CONSTRAINT target_events_kind_check
    CHECK (kind IN ('requeued', 'failed', 'opted_out', 'unknown', 'settled', 'late_receipt'));
-- What a late receipt says is told once, however often it comes.
CREATE UNIQUE INDEX target_events_late ON target_events (target_id, attempt, reason) WHERE kind = 'late_receipt';

-- +goose Down
DROP INDEX target_events_late;
DELETE FROM target_events WHERE kind = 'late_receipt';
ALTER TABLE target_events DROP CONSTRAINT target_events_kind_check;
ALTER TABLE target_events ADD CONSTRAINT target_events_kind_check
    CHECK (kind IN ('requeued', 'failed', 'opted_out', 'unknown', 'settled'));
DROP TABLE resends;
ALTER TABLE campaigns DROP COLUMN resend;
