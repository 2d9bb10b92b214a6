-- An override may be for one message to one person, too.

-- +goose Up
ALTER TABLE overrides ADD COLUMN send_id uuid REFERENCES sends; -- what it is for, if not a campaign
ALTER TABLE overrides DROP CONSTRAINT overrides_check1; -- a campaign for quiet_hours, and for nothing else
ALTER TABLE overrides ADD CONSTRAINT overrides_scope CHECK (num_nonnulls(campaign_id, send_id) = CASE kind WHEN 'quiet_hours' THEN 1 ELSE 0 END);
-- One at a time, of a kind, of a campaign or a send.
DROP INDEX overrides_open;
CREATE UNIQUE INDEX overrides_open ON overrides (campaign_id, kind, send_id) NULLS NOT DISTINCT WHERE state IN ('requested', 'approved', 'active');
-- Whoever judges a send looks here for its override.
CREATE INDEX overrides_send ON overrides (send_id, id DESC) WHERE send_id IS NOT NULL;

ALTER TABLE send_events DROP CONSTRAINT send_events_kind_check;
ALTER TABLE send_events ADD CONSTRAINT send_events_kind_check CHECK (kind IN ('requested', 'held', 'blocked', 'lifted', 'sending', 'sent',
    'delivered', 'read', 'requeued', 'failed', 'opted_out', 'unknown', 'cancelled', 'resent', 'late_receipt'));

-- +goose Down
DELETE FROM send_events WHERE kind = 'lifted';
ALTER TABLE send_events DROP CONSTRAINT send_events_kind_check;
ALTER TABLE send_events ADD CONSTRAINT send_events_kind_check CHECK (kind IN ('requested', 'held', 'blocked', 'sending', 'sent', 'delivered', 'read', 'requeued',
    'failed', 'opted_out', 'unknown', 'cancelled', 'resent', 'late_receipt'));
UPDATE approval_requests SET closed_at = clock_timestamp(), closed_why = 'over'
WHERE closed_at IS NULL AND subject_kind = 'override' AND subject_id IN (SELECT id::text FROM overrides WHERE send_id IS NOT NULL);
DELETE FROM overrides WHERE send_id IS NOT NULL;
DROP INDEX overrides_send;
DROP INDEX overrides_open;
CREATE UNIQUE INDEX overrides_open ON overrides (campaign_id, kind) NULLS NOT DISTINCT WHERE state IN ('requested', 'approved', 'active');
ALTER TABLE overrides DROP CONSTRAINT overrides_scope;
ALTER TABLE overrides DROP COLUMN send_id;
ALTER TABLE overrides ADD CONSTRAINT overrides_check1 CHECK ((kind = 'quiet_hours') = (campaign_id IS NOT NULL));
