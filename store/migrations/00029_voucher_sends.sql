-- Vouchers that are sent one by one.

-- +goose Up
ALTER TABLE sends ADD CONSTRAINT sends_voucher_known FOREIGN KEY (voucher_id) REFERENCES vouchers;
CREATE INDEX sends_voucher ON sends (voucher_id, id) WHERE voucher_id IS NOT NULL;
-- One message about a voucher is on its way at a time.
CREATE UNIQUE INDEX sends_voucher_once ON sends (voucher_id) WHERE voucher_id IS NOT NULL AND state IN ('queued', 'sending');

-- The keys that sign vouchers, as API processes saw them in their file: for the audit log. Nothing here is secret.
CREATE TABLE voucher_keys (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{8}$'),
    signs_from timestamptz NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz -- nobody had seen it for a while
);
GRANT SELECT, INSERT, UPDATE (seen_at, retired_at) ON voucher_keys TO lastcall_app;

-- Redemptions come in the order of time: a few bytes a hundred pages find the last minutes, and no redemption waits for
-- the end of a tree that all write to.
DROP INDEX redemptions_recent;
CREATE INDEX redemptions_recent ON redemptions USING brin (created_at) WITH (autosummarize = on);

-- +goose Down
DROP INDEX redemptions_recent;
CREATE INDEX redemptions_recent ON redemptions (created_at);
DROP TABLE voucher_keys;
DROP INDEX sends_voucher_once, sends_voucher;
ALTER TABLE sends DROP CONSTRAINT sends_voucher_known;
