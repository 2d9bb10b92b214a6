-- Bars and stations as they are looked after, who works there on which device, the codes on the tables, and how
-- Finance wants to be paid.

-- +goose Up
ALTER TABLE bars
    ADD COLUMN address text NOT NULL DEFAULT '' CHECK (length(address) <= 300),
    ADD COLUMN latitude double precision CHECK (latitude BETWEEN -90 AND 90), -- WGS 84, degrees
    ADD COLUMN longitude double precision CHECK (longitude BETWEEN -180 AND 180),
    ADD COLUMN zone text NOT NULL DEFAULT '', -- IANA; empty: the country's only one
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT bars_whole_coordinates CHECK ((latitude IS NULL) = (longitude IS NULL));

-- Codes are unique among all that ever were: what is printed with one never means another place.
ALTER TABLE stations
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT stations_code_upper CHECK (code = upper(code));
CREATE INDEX stations_live ON stations (bar_id, code) WHERE deleted_at IS NULL;
DROP INDEX stations_bar;

-- The PIN alone tells the operator within a station, so no two have the same; its argon2id hash is salted by the
-- installation's pepper and the station's code (docs/decisions/0015-stations.md). No hash: no PIN yet.
CREATE TABLE station_operators (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    pin_hash bytea CHECK (octet_length(pin_hash) = 32),
    pin_set_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at timestamptz,
    UNIQUE (id, station_id),
    CHECK ((pin_hash IS NULL) = (pin_set_at IS NULL)),
    CHECK (disabled_at IS NULL OR pin_hash IS NULL)
);
CREATE UNIQUE INDEX station_operators_pin ON station_operators (station_id, pin_hash) WHERE pin_hash IS NOT NULL;
CREATE INDEX station_operators_station ON station_operators (station_id, id);
GRANT SELECT, INSERT ON station_operators TO lastcall_app;
GRANT UPDATE (name, pin_hash, pin_set_at, disabled_at) ON station_operators TO lastcall_app;

-- The cookie of a device holds a random token, the row its SHA-256.
CREATE TABLE station_devices (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    agent text NOT NULL CHECK (length(agent) <= 20),
    enrolled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    UNIQUE (id, station_id)
);
CREATE INDEX station_devices_station ON station_devices (station_id, id);
GRANT SELECT, INSERT ON station_devices TO lastcall_app;
GRANT UPDATE (name, seen_at, revoked_at) ON station_devices TO lastcall_app;

-- An invitation to one device, once and soon. Only the SHA-256 of its token is kept.
CREATE TABLE device_enrolments (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL REFERENCES stations,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
    used_at timestamptz,
    device_id uuid REFERENCES station_devices,
    CHECK ((used_at IS NULL) = (device_id IS NULL))
);
CREATE INDEX device_enrolments_station ON device_enrolments (station_id);
GRANT SELECT, INSERT, DELETE ON device_enrolments TO lastcall_app;
GRANT UPDATE (used_at, device_id, expires_at) ON device_enrolments TO lastcall_app;

-- Who may accept vouchers offline: one device a station. The rows that ended tell who had it before.
CREATE TABLE station_leases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    station_id uuid NOT NULL,
    device_id uuid NOT NULL,
    operator_id uuid NOT NULL,
    reason text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    ended_why text CHECK (ended_why IN ('given_up', 'taken_over', 'unseen', 'revoked')),
    FOREIGN KEY (device_id, station_id) REFERENCES station_devices (id, station_id),
    FOREIGN KEY (operator_id, station_id) REFERENCES station_operators (id, station_id),
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE UNIQUE INDEX station_leases_one ON station_leases (station_id) WHERE ended_at IS NULL;
CREATE INDEX station_leases_device ON station_leases (device_id);
GRANT SELECT, INSERT ON station_leases TO lastcall_app;
GRANT UPDATE (ended_at, ended_why) ON station_leases TO lastcall_app;

CREATE TABLE station_sessions (
    id uuid PRIMARY KEY,
    station_id uuid NOT NULL,
    device_id uuid NOT NULL,
    operator_id uuid NOT NULL,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at), -- however busy; idle ones end by seen_at
    revoked_at timestamptz,
    FOREIGN KEY (device_id, station_id) REFERENCES station_devices (id, station_id),
    FOREIGN KEY (operator_id, station_id) REFERENCES station_operators (id, station_id)
);
CREATE UNIQUE INDEX station_sessions_one ON station_sessions (device_id) WHERE revoked_at IS NULL;
CREATE INDEX station_sessions_device ON station_sessions (device_id, expires_at);
CREATE INDEX station_sessions_open ON station_sessions (station_id) WHERE revoked_at IS NULL;
CREATE INDEX station_sessions_operator ON station_sessions (operator_id) WHERE revoked_at IS NULL;
GRANT SELECT, INSERT, DELETE ON station_sessions TO lastcall_app;
GRANT UPDATE (seen_at, revoked_at) ON station_sessions TO lastcall_app;

-- The codes on a bar's tables: who scans one writes JOIN and its token. 50 random bits in Crockford's letters.
CREATE TABLE qr_tokens (
    id uuid PRIMARY KEY,
    bar_id uuid NOT NULL REFERENCES bars,
    token text NOT NULL UNIQUE CHECK (token ~ '^[0-9A-HJKMNP-TV-Z]{10}$'),
    label text NOT NULL CHECK (label <> '' AND length(label) <= 50),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
CREATE UNIQUE INDEX qr_tokens_label ON qr_tokens (bar_id, label) WHERE revoked_at IS NULL;
GRANT SELECT, INSERT ON qr_tokens TO lastcall_app;
GRANT UPDATE (revoked_at) ON qr_tokens TO lastcall_app;

-- How Finance wants to be paid. The newest confirmed revision is in force; nobody confirms what they wrote.
CREATE TABLE payment_settings_revisions (
    revision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    value jsonb NOT NULL,
    reason text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    author text NOT NULL,
    author_id uuid REFERENCES accounts, -- NULL: a program's token
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'confirmed')),
    confirmed_by text,
    confirmed_by_id uuid REFERENCES accounts,
    confirmed_at timestamptz,
    CHECK ((state = 'confirmed') = (confirmed_at IS NOT NULL AND confirmed_by IS NOT NULL AND confirmed_by_id IS NOT NULL)),
    CONSTRAINT payment_settings_four_eyes CHECK (confirmed_by_id <> author_id)
);
CREATE INDEX payment_settings_confirmed ON payment_settings_revisions (revision DESC) WHERE state = 'confirmed';
GRANT SELECT, INSERT ON payment_settings_revisions TO lastcall_app;
GRANT UPDATE (state, confirmed_by, confirmed_by_id, confirmed_at) ON payment_settings_revisions TO lastcall_app;

-- +goose Down
DROP TABLE payment_settings_revisions, qr_tokens, station_sessions, station_leases, device_enrolments, station_devices, station_operators;
CREATE INDEX stations_bar ON stations (bar_id);
DROP INDEX stations_live;
ALTER TABLE stations DROP COLUMN version, DROP COLUMN updated_at, DROP CONSTRAINT stations_code_upper;
ALTER TABLE bars DROP COLUMN address, DROP COLUMN latitude, DROP COLUMN longitude, DROP COLUMN zone, DROP COLUMN version, DROP COLUMN updated_at;
