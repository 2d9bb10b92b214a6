-- Campaigns that give each of their targets a voucher.

-- +goose Up
ALTER TABLE campaigns ADD COLUMN voucher jsonb -- what each target gets (voucher.Offer); null: a message, and no more
    CONSTRAINT campaigns_voucher CHECK (voucher IS NULL OR coalesce(jsonb_typeof(voucher) = 'object' AND (voucher ->> 'amount')::numeric > 0
        AND voucher ->> 'currency' IN ('RWF', 'EUR') AND (voucher ? 'expires_at') <> (voucher ? 'valid_seconds'), false));

ALTER TABLE vouchers
    ADD COLUMN form text CHECK (form IN ('card', 'text')), -- how it came to its guest; null: not by a campaign, or not known
    ADD COLUMN undelivered_at timestamptz;                 -- the provider took its message, and then told that it failed

-- What has not come to its guest, as far as we know: a few of many, and what is on its way just now.
CREATE INDEX vouchers_unsent ON vouchers (id) WHERE target_id IS NOT NULL AND (status = 'issued' OR status = 'sent' AND undelivered_at IS NOT NULL);
-- The figures of a campaign, from the index alone.
CREATE INDEX vouchers_campaign_status ON vouchers (campaign_id, status, form) WHERE campaign_id IS NOT NULL;
GRANT UPDATE (form, undelivered_at) ON vouchers TO lastcall_app;

-- +goose Down
DROP INDEX vouchers_campaign_status, vouchers_unsent;
ALTER TABLE vouchers DROP COLUMN form, DROP COLUMN undelivered_at;
ALTER TABLE campaigns DROP COLUMN voucher;
