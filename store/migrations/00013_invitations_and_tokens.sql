-- People come by invitation and choose their own password; tokens of their own; and how often anything may be asked for.

-- +goose Up
GRANT UPDATE (role) ON accounts TO lastcall_app;

-- The link's token is made when its mail is written: the row holds its SHA-256, and nothing else does.
CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    email text NOT NULL CHECK (email = lower(email) AND email LIKE '%_@_%' AND length(email) <= 254),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
    role text NOT NULL CHECK (role IN
        ('admin', 'project_lead', 'ops', 'support', 'compliance', 'finance', 'viewer', 'station_operator')),
    invited_by uuid REFERENCES accounts, -- null: a token, or the command line
    token_hash bytea UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz, -- the newest link; null: its mail is not written yet
    expires_at timestamptz, -- that link's
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    CHECK ((token_hash IS NULL) = (expires_at IS NULL) AND (token_hash IS NULL) = (sent_at IS NULL)),
    CHECK (accepted_at IS NULL OR withdrawn_at IS NULL)
);
CREATE UNIQUE INDEX invitations_open ON invitations (email) WHERE accepted_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX invitations_by ON invitations (invited_by) WHERE accepted_at IS NULL AND withdrawn_at IS NULL;
GRANT SELECT, INSERT ON invitations TO lastcall_app;
GRANT UPDATE (token_hash, sent_at, expires_at, accepted_at, withdrawn_at) ON invitations TO lastcall_app;

-- One a person: another request makes another link of it.
CREATE TABLE password_resets (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
GRANT SELECT, INSERT, UPDATE ON password_resets TO lastcall_app;

-- A token is the system's, or somebody's own: that one has permissions of its own, and ends.
ALTER TABLE api_tokens ADD COLUMN account_id uuid REFERENCES accounts,
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT api_tokens_own CHECK (account_id IS NULL AND scopes = '{}'
        OR account_id IS NOT NULL AND scopes <> '{}' AND length(name) <= 100
            AND expires_at IS NOT NULL AND expires_at <= created_at + interval '366 days');
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (account_id, name) WHERE account_id IS NOT NULL AND revoked_at IS NULL;

-- How soon each may be asked for again: one row for who asked lately, by a keyed hash. `used_up_until` is when all of it
-- will have been forgotten; what would move it too far ahead is refused.
CREATE TABLE rate_limits (
    name text NOT NULL,
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    used_up_until timestamptz NOT NULL,
    refused boolean NOT NULL DEFAULT false, -- since something was last allowed
    PRIMARY KEY (name, key)
);
CREATE INDEX rate_limits_old ON rate_limits (used_up_until);
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_limits TO lastcall_app;

-- +goose Down
DROP TABLE rate_limits, password_resets, invitations;
DROP INDEX api_tokens_name;
DELETE FROM api_tokens WHERE account_id IS NOT NULL;
ALTER TABLE api_tokens DROP CONSTRAINT api_tokens_own, DROP COLUMN scopes, DROP COLUMN account_id;
REVOKE UPDATE (role) ON accounts FROM lastcall_app;
