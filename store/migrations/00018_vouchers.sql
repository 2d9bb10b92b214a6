-- Vouchers, what became of each, and who was refused. One is redeemed at most once: redemptions.voucher_id says so.

-- +goose Up

-- A file of vouchers, as a whole or not at all. Once done, lines = invalid + duplicates + issued.
CREATE TABLE voucher_batches (
    id uuid PRIMARY KEY,
    lines bigint NOT NULL CHECK (lines = invalid + duplicates + issued),
    invalid bigint NOT NULL CHECK (invalid >= 0),
    duplicates bigint NOT NULL CHECK (duplicates >= 0),
    issued bigint NOT NULL CHECK (issued >= 0),
    ignored_columns text[] NOT NULL DEFAULT '{}',
    idempotency_key text UNIQUE,
    request_hash bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
GRANT SELECT, INSERT ON voucher_batches TO lastcall_app;

CREATE TABLE voucher_batch_lines (
    batch_id uuid NOT NULL REFERENCES voucher_batches,
    line bigint NOT NULL CHECK (line > 0),
    field text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (batch_id, line)
);
GRANT SELECT, INSERT ON voucher_batch_lines TO lastcall_app;

-- The number may be taken out of a voucher, when its owner wants to be forgotten; the voucher stays, for Finance.
CREATE TABLE vouchers (
    id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE CHECK (code ~ '^[0-9A-HJKMNP-TV-Z]{8}$'), -- with its check character
    msisdn text CHECK (msisdn ~ '^\+[1-9][0-9]{6,14}$'),
    contact_id uuid REFERENCES contacts ON DELETE SET NULL,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    currency char(3) NOT NULL CHECK (currency IN ('RWF', 'EUR')),
    scope text NOT NULL CHECK (scope IN ('station', 'stations', 'all')),
    station_ids uuid[] NOT NULL DEFAULT '{}',
    campaign_id uuid REFERENCES campaigns,
    target_id bigint,
    batch_id uuid REFERENCES voucher_batches,
    reference text CHECK (reference <> '' AND length(reference) <= 100), -- the issuer's own, once a number
    status text NOT NULL DEFAULT 'issued' CHECK (status IN ('issued', 'sent', 'redeemed', 'expired', 'void')),
    expires_at timestamptz NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz,
    redeemed_at timestamptz,
    redeemed_station_id uuid, -- as in its redemption, which refers to the station: one lock on its row is enough
    expired_at timestamptz,
    voided_at timestamptz,
    void_reason text CHECK (void_reason <> '' AND length(void_reason) <= 500),
    idempotency_key text,
    request_hash bytea,
    CONSTRAINT vouchers_whole_francs CHECK (currency <> 'RWF' OR amount = trunc(amount)),
    CONSTRAINT vouchers_scope_names_stations CHECK (array_position(station_ids, NULL) IS NULL AND CASE scope
        WHEN 'all' THEN cardinality(station_ids) = 0
        WHEN 'station' THEN cardinality(station_ids) = 1
        ELSE cardinality(station_ids) BETWEEN 2 AND 100 END),
    CONSTRAINT vouchers_expire_later CHECK (expires_at > issued_at),
    CONSTRAINT vouchers_redeemed CHECK ((status = 'redeemed') = (redeemed_at IS NOT NULL) AND (redeemed_at IS NULL) = (redeemed_station_id IS NULL)),
    CONSTRAINT vouchers_expired CHECK ((status = 'expired') = (expired_at IS NOT NULL)),
    CONSTRAINT vouchers_void CHECK ((status = 'void') = (voided_at IS NOT NULL) AND (voided_at IS NULL) = (void_reason IS NULL)),
    CONSTRAINT vouchers_sent CHECK (CASE status WHEN 'issued' THEN sent_at IS NULL WHEN 'sent' THEN sent_at IS NOT NULL ELSE true END),
    CONSTRAINT vouchers_target CHECK (target_id IS NULL OR campaign_id IS NOT NULL),
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);
-- A list is by id, which is by time of issue; each filter has the index that serves it in that order.
CREATE INDEX vouchers_status ON vouchers (status, id);
CREATE INDEX vouchers_contact ON vouchers (contact_id, id) WHERE contact_id IS NOT NULL;
CREATE INDEX vouchers_msisdn ON vouchers (msisdn, id) WHERE msisdn IS NOT NULL;
CREATE INDEX vouchers_campaign ON vouchers (campaign_id, id) WHERE campaign_id IS NOT NULL;
CREATE UNIQUE INDEX vouchers_target_once ON vouchers (campaign_id, target_id) WHERE target_id IS NOT NULL;
CREATE UNIQUE INDEX vouchers_key ON vouchers (idempotency_key) WHERE idempotency_key IS NOT NULL; -- few have one
CREATE INDEX vouchers_batch ON vouchers (batch_id, id) WHERE batch_id IS NOT NULL;
CREATE UNIQUE INDEX vouchers_reference ON vouchers (msisdn, reference) WHERE reference IS NOT NULL;
CREATE INDEX vouchers_stations ON vouchers USING gin (station_ids) WHERE scope <> 'all';
CREATE INDEX vouchers_expiry ON vouchers (expires_at, id);
CREATE INDEX vouchers_due ON vouchers (expires_at) WHERE status IN ('issued', 'sent');
GRANT SELECT, INSERT ON vouchers TO lastcall_app;
GRANT UPDATE (msisdn, contact_id, reference, request_hash, status, sent_at, redeemed_at, redeemed_station_id, expired_at, voided_at, void_reason)
    ON vouchers TO lastcall_app;

-- The same table as voucher.Status.MayBecome: a state that is final stays, whoever writes.
-- +goose StatementBegin
CREATE FUNCTION voucher_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.status IN ('issued', 'sent') AND NEW.status IN ('redeemed', 'expired', 'void') OR OLD.status = 'issued' AND NEW.status = 'sent') THEN
        RAISE EXCEPTION 'a voucher that is % cannot become %', OLD.status, NEW.status USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_moves';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER vouchers_move BEFORE UPDATE OF status ON vouchers FOR EACH ROW EXECUTE FUNCTION voucher_moves();

CREATE TABLE voucher_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    voucher_id uuid NOT NULL REFERENCES vouchers,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status text NOT NULL CHECK (status IN ('issued', 'sent', 'redeemed', 'expired', 'void')), -- what it became
    actor_kind text NOT NULL,
    actor text NOT NULL,
    station_id uuid, -- as in its redemption
    reason text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX voucher_events_once ON voucher_events (voucher_id, status); -- no state is come to twice
GRANT SELECT, INSERT ON voucher_events TO lastcall_app;
CREATE TRIGGER voucher_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON voucher_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The redemption is the record of its request: the same key again gets this answer. It is kept as long as the voucher.
CREATE TABLE redemptions (
    id uuid PRIMARY KEY,
    voucher_id uuid NOT NULL REFERENCES vouchers,
    idempotency_key text NOT NULL CHECK (idempotency_key <> ''),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    response jsonb NOT NULL,
    station_id uuid NOT NULL REFERENCES stations,
    device_id uuid NOT NULL,
    operator_id uuid NOT NULL,
    operator text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    currency char(3) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- by the database: what counts
    offline_at timestamptz, -- by the device, of what it accepted offline; it came to the database at created_at
    settled_at timestamptz,
    CONSTRAINT redemptions_voucher UNIQUE (voucher_id),
    CONSTRAINT redemptions_key UNIQUE (idempotency_key)
);
CREATE INDEX redemptions_station ON redemptions (station_id, id);
CREATE INDEX redemptions_by_day ON redemptions (station_id, created_at) INCLUDE (currency, amount, settled_at);
CREATE INDEX redemptions_unsettled ON redemptions (station_id, created_at) INCLUDE (currency, amount) WHERE settled_at IS NULL;
CREATE INDEX redemptions_recent ON redemptions (created_at);
GRANT SELECT, INSERT ON redemptions TO lastcall_app;
GRANT UPDATE (settled_at) ON redemptions TO lastcall_app;

-- What was rehearsed, in staging. It is outside all figures, and the voucher does not know.
CREATE TABLE mock_redemptions (
    id uuid PRIMARY KEY,
    voucher_id uuid NOT NULL REFERENCES vouchers,
    idempotency_key text NOT NULL CHECK (idempotency_key <> ''),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    response jsonb NOT NULL,
    station_id uuid NOT NULL REFERENCES stations,
    device_id uuid NOT NULL,
    operator_id uuid NOT NULL,
    operator text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    offline_at timestamptz,
    CONSTRAINT mock_redemptions_voucher UNIQUE (voucher_id),
    CONSTRAINT mock_redemptions_key UNIQUE (idempotency_key)
);
CREATE INDEX mock_redemptions_station ON mock_redemptions (station_id, id);
GRANT SELECT, INSERT ON mock_redemptions TO lastcall_app;

-- Redemptions that did not happen. A business refusal is the rules at work; a system failure is ours, and counts for the
-- rollback signal. Wrong codes are counted here, for the device's lock and the station's cap.
CREATE TABLE redemption_refusals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('business', 'system')),
    code text NOT NULL CHECK (code <> ''),
    voucher_id uuid REFERENCES vouchers, -- NULL: no voucher was found
    station_id uuid NOT NULL REFERENCES stations,
    device_id uuid NOT NULL,
    mock boolean NOT NULL DEFAULT false,
    alerted boolean NOT NULL DEFAULT false -- this one told Ops of a guess storm
);
CREATE INDEX redemption_refusals_recent ON redemption_refusals (at) INCLUDE (kind) WHERE NOT mock;
CREATE INDEX redemption_refusals_guesses ON redemption_refusals (device_id, at) WHERE code = 'wrong_code';
CREATE INDEX redemption_refusals_station ON redemption_refusals (station_id, at) WHERE code = 'wrong_code';
CREATE INDEX redemption_refusals_storm ON redemption_refusals (at) WHERE code = 'wrong_code';
CREATE INDEX redemption_refusals_alerts ON redemption_refusals (at) WHERE alerted;
GRANT SELECT, INSERT ON redemption_refusals TO lastcall_app;
CREATE TRIGGER redemption_refusals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_refusals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A station accepted a voucher offline, and it was refused when that came in: the guest has been served, and somebody of
-- Support sees to it.
CREATE TABLE provisional_refusals (
    id uuid PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE CHECK (idempotency_key <> ''),
    code text NOT NULL CHECK (code <> ''), -- why it was refused
    detail text NOT NULL,
    voucher_id uuid REFERENCES vouchers,
    station_id uuid NOT NULL REFERENCES stations,
    device_id uuid NOT NULL,
    operator text NOT NULL,
    offline_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    resolved_by text,
    note text CHECK (note <> '' AND length(note) <= 500),
    CHECK ((resolved_at IS NULL) = (resolved_by IS NULL) AND (resolved_at IS NULL) = (note IS NULL))
);
CREATE INDEX provisional_refusals_open ON provisional_refusals (id) WHERE resolved_at IS NULL;
CREATE INDEX provisional_refusals_voucher ON provisional_refusals (voucher_id);
GRANT SELECT, INSERT ON provisional_refusals TO lastcall_app;
GRANT UPDATE (resolved_at, resolved_by, note) ON provisional_refusals TO lastcall_app;

-- The setting offline_redemptions needs no more: since 00014 the code alone knows which keys there are.

-- +goose Down
DROP TABLE provisional_refusals, redemption_refusals, mock_redemptions, redemptions, voucher_events, vouchers, voucher_batch_lines, voucher_batches;
DROP FUNCTION voucher_moves();
ALTER TABLE settings_revisions DISABLE TRIGGER settings_revisions_append_only;
DELETE FROM settings_revisions WHERE key = 'offline_redemptions';
ALTER TABLE settings_revisions ENABLE TRIGGER settings_revisions_append_only;
