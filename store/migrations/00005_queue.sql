-- A target's way from queued to read changes nothing that an index holds, so that each of its four updates stays on
-- its page and touches no index (heap-only). What leaves that way, to wait for a time of its own or to end
-- otherwise, is in indexes of its own. Why: docs/decisions/0008-updates-without-indexes.md.

-- +goose Up
DROP INDEX targets_state, targets_queue, targets_capped;
ALTER TABLE targets SET (fillfactor = 33); -- a page has room for two more versions of its rows
ALTER TABLE targets
    ADD COLUMN again boolean NOT NULL GENERATED ALWAYS AS (state = 'queued' AND (attempt > 0 OR not_before IS NOT NULL)) STORED,
    ADD COLUMN ended text GENERATED ALWAYS AS (CASE WHEN state IN ('failed', 'opted_out', 'unknown', 'cancelled') THEN state END) STORED;

-- The fresh ones, never tried nor held, are taken in this order, from the cohort's queue_from on.
CREATE INDEX targets_order ON targets (campaign_id, cohort, id);
-- The other queued ones, and of them those that a frequency cap holds.
CREATE INDEX targets_again ON targets (campaign_id, cohort, not_before, id) WHERE again;
CREATE INDEX targets_capped ON targets (campaign_id, policy_revision, cohort, not_before) WHERE again AND policy_revision IS NOT NULL;
CREATE INDEX targets_ended ON targets (campaign_id, ended, cohort, id) WHERE ended IS NOT NULL;

-- No fresh target of the cohort has a lower id. Raised by claims.
ALTER TABLE cohorts ADD COLUMN queue_from bigint NOT NULL DEFAULT 0;
GRANT UPDATE (queue_from) ON cohorts TO lastcall_app;

CREATE VIEW queued_targets AS
    SELECT t.* FROM cohorts k JOIN targets t ON t.campaign_id = k.campaign_id AND t.cohort = k.id AND t.id >= k.queue_from
    WHERE t.state = 'queued' AND NOT t.again
    UNION ALL SELECT t.* FROM targets t WHERE t.again;
GRANT SELECT ON queued_targets TO lastcall_app;

-- The ids between which the targets are that the lane's owner has claimed; null: none.
ALTER TABLE lanes ADD COLUMN first_id bigint, ADD COLUMN last_id bigint;

-- +goose Down
ALTER TABLE lanes DROP COLUMN first_id, DROP COLUMN last_id;
DROP VIEW queued_targets;
ALTER TABLE cohorts DROP COLUMN queue_from;
DROP INDEX targets_ended, targets_capped, targets_again, targets_order;
ALTER TABLE targets DROP COLUMN again, DROP COLUMN ended;
ALTER TABLE targets RESET (fillfactor);
CREATE INDEX targets_state ON targets (campaign_id, state, cohort, id);
CREATE INDEX targets_queue ON targets (campaign_id, cohort, not_before, id) WHERE state = 'queued';
CREATE INDEX targets_capped ON targets (campaign_id, policy_revision, cohort, not_before)
    WHERE state = 'queued' AND policy_revision IS NOT NULL;
