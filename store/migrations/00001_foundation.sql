-- The ground everything stands on: who may connect, what was decided, what must follow a commit.

-- +goose Up

-- lastcall_app serves; whoever runs this migration owns. Roles belong to the whole server, so another
-- database of it may have made this one already.
-- +goose StatementBegin
DO $$
BEGIN
    CREATE ROLE lastcall_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
BEGIN
    -- The owner may act as lastcall_app, and every serving connection does.
    IF NOT pg_has_role(current_user, 'lastcall_app', 'MEMBER') THEN
        EXECUTE format('GRANT lastcall_app TO %I', current_user);
    END IF;
END $$;
-- +goose StatementEnd
GRANT USAGE ON SCHEMA public TO lastcall_app;

-- One row: what makes this installation itself. The pepper is kept elsewhere; its fingerprint tells
-- whether the hashes of the opt-out registry were made with the one at hand.
CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    pepper_fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON installation TO lastcall_app;

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
GRANT SELECT, INSERT ON api_tokens TO lastcall_app;
GRANT UPDATE (revoked_at, last_used_at) ON api_tokens TO lastcall_app;

-- Settings are revisions: the newest of each key counts, none is ever changed.
CREATE TABLE settings_revisions (
    revision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL CHECK (key IN ('quiet_hours', 'throttle', 'toggles')),
    value jsonb NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX settings_revisions_newest ON settings_revisions (key, revision DESC);
GRANT SELECT, INSERT ON settings_revisions TO lastcall_app;

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_kind text NOT NULL,
    actor text NOT NULL,
    action text NOT NULL CHECK (action <> ''),
    target text NOT NULL,
    diff jsonb,
    reason text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    policy_revision bigint
);
CREATE INDEX audit_log_target ON audit_log (target, id);
GRANT SELECT, INSERT ON audit_log TO lastcall_app;

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER settings_revisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settings_revisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every effect that must follow a commit. Rows of one key are delivered in order.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    key text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    delivered_at timestamptz,
    error_code text,
    error text
);
CREATE INDEX outbox_pending ON outbox (key, id) WHERE delivered_at IS NULL;
CREATE INDEX outbox_delivered ON outbox (delivered_at) WHERE delivered_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO lastcall_app;

-- +goose StatementBegin
CREATE FUNCTION notify_channel() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(TG_ARGV[0], '');
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER outbox_notify AFTER INSERT ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('outbox');

-- Signed webhooks as they came, until they are applied.
CREATE TABLE webhook_inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body bytea NOT NULL,
    error text
);
CREATE INDEX webhook_inbox_pending ON webhook_inbox (id) WHERE error IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_inbox TO lastcall_app;
CREATE TRIGGER webhook_inbox_notify AFTER INSERT ON webhook_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('webhook_inbox');

-- Who dispatches now. A worker says so every two seconds; one that fell silent is as good as none.
CREATE TABLE workers (
    name text PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON workers TO lastcall_app;

-- +goose Down
DROP TABLE workers, webhook_inbox, outbox, audit_log, settings_revisions, api_tokens, installation;
DROP FUNCTION notify_channel(), refuse_change();
REVOKE USAGE ON SCHEMA public FROM lastcall_app;
-- The role stays: other databases of this server may use it.
