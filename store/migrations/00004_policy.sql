-- The rules that look at one recipient: consent and the frequency cap.

-- +goose Up
ALTER TABLE settings_revisions DROP CONSTRAINT settings_revisions_key_check;
ALTER TABLE settings_revisions ADD CONSTRAINT settings_revisions_key_check
    CHECK (key IN ('quiet_hours', 'missing_zone', 'consent', 'throttle', 'frequency_cap', 'toggles'));

-- Queued with not_before because of the frequency cap: the cap's revision that decided. A later one decides anew.
ALTER TABLE targets ADD COLUMN policy_revision bigint;
CREATE INDEX targets_capped ON targets (campaign_id, policy_revision, cohort, not_before)
    WHERE state = 'queued' AND policy_revision IS NOT NULL;

-- Those who wait for a time of their own stand behind those who do not: a claim never walks past them.
CREATE INDEX targets_queue ON targets (campaign_id, cohort, not_before, id) WHERE state = 'queued';

-- When the lane was last taken: only campaigns whose lanes were taken lately can have sent lately, which is where
-- the frequency cap looks.
ALTER TABLE lanes ADD COLUMN taken_at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE INDEX lanes_taken ON lanes (taken_at);

-- +goose Down
DROP INDEX lanes_taken;
ALTER TABLE lanes DROP COLUMN taken_at;
DROP INDEX targets_queue, targets_capped;
ALTER TABLE targets DROP COLUMN policy_revision;
ALTER TABLE settings_revisions DISABLE TRIGGER settings_revisions_append_only;
DELETE FROM settings_revisions WHERE key NOT IN ('quiet_hours', 'throttle', 'toggles');
ALTER TABLE settings_revisions ENABLE TRIGGER settings_revisions_append_only;
ALTER TABLE settings_revisions DROP CONSTRAINT settings_revisions_key_check;
ALTER TABLE settings_revisions ADD CONSTRAINT settings_revisions_key_check CHECK (key IN ('quiet_hours', 'throttle', 'toggles'));
