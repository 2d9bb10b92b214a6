-- People: who may sign in, who has, and who tried too often.

-- +goose Up
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email) AND email LIKE '%_@_%' AND length(email) <= 254),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    role text NOT NULL CHECK (role IN
        ('admin', 'project_lead', 'ops', 'support', 'compliance', 'finance', 'viewer', 'station_operator')),
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at timestamptz
);
GRANT SELECT, INSERT ON accounts TO lastcall_app;
GRANT UPDATE (name, password_hash, disabled_at) ON accounts TO lastcall_app;

-- The cookie holds a random token, the row its SHA-256. No address is kept, of the browser only its family.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    agent text NOT NULL CHECK (length(agent) <= 20),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at), -- however busy; idle ones end by seen_at
    revoked_at timestamptz
);
CREATE INDEX sessions_account ON sessions (account_id);
GRANT SELECT, INSERT, DELETE ON sessions TO lastcall_app;
GRANT UPDATE (seen_at, revoked_at) ON sessions TO lastcall_app;

-- Failures in a row, by account and by client address, each as a keyed hash: what was typed may be a password, and
-- whether there is such an account is nobody's business. Attempts are counted before the password is looked at.
CREATE TABLE sign_in_failures (
    kind text NOT NULL CHECK (kind IN ('account', 'address')),
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    failures integer NOT NULL CHECK (failures >= 0),
    failed_at timestamptz NOT NULL,
    locked_until timestamptz,
    PRIMARY KEY (kind, key)
);
CREATE INDEX sign_in_failures_old ON sign_in_failures (failed_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_failures TO lastcall_app;

-- +goose Down
DROP TABLE sign_in_failures, sessions, accounts;
