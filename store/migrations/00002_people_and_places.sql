-- Who is written to, where they are served, what they are told, and who must be left alone.

-- +goose Up
CREATE TABLE bars (
    id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text NOT NULL CHECK (name <> ''),
    country char(2) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE stations (
    id uuid PRIMARY KEY,
    bar_id uuid NOT NULL REFERENCES bars,
    code text NOT NULL UNIQUE,
    name text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX stations_bar ON stations (bar_id);

CREATE TABLE contacts (
    id uuid PRIMARY KEY,
    msisdn text NOT NULL UNIQUE CHECK (msisdn ~ '^\+[1-9][0-9]{6,14}$'),
    name text NOT NULL DEFAULT '',
    country char(2) NOT NULL,
    locale text NOT NULL DEFAULT '',
    zone text NOT NULL DEFAULT '', -- IANA; empty: the country's only one, if it has only one
    tags text[] NOT NULL DEFAULT '{}',
    bar_id uuid REFERENCES bars,
    opted_in_at timestamptz,
    opt_in_source text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((opted_in_at IS NULL) = (opt_in_source = ''))
);
CREATE INDEX contacts_tags ON contacts USING gin (tags);
CREATE INDEX contacts_bar ON contacts (bar_id) WHERE bar_id IS NOT NULL;

-- The registry of those who said no holds no numbers: msisdn_hash is HMAC-SHA256 with the pepper.
CREATE TABLE opt_outs (
    msisdn_hash bytea PRIMARY KEY CHECK (octet_length(msisdn_hash) = 32),
    source text NOT NULL CHECK (source IN ('registry', 'provider')),
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX opt_outs_newest ON opt_outs (created_at, msisdn_hash);

CREATE TABLE templates (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[a-z0-9_]+$' AND length(name) <= 512),
    version integer NOT NULL CHECK (version > 0),
    category text NOT NULL CHECK (category IN ('marketing', 'utility')),
    status text NOT NULL CHECK (status IN ('draft', 'submitted', 'approved', 'locked', 'retired')),
    variables jsonb NOT NULL DEFAULT '[]',
    texts jsonb NOT NULL CHECK (jsonb_typeof(texts) = 'object' AND texts <> '{}'),
    header_media text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, version)
);

GRANT SELECT, INSERT, UPDATE ON bars, stations, contacts, templates TO lastcall_app;
GRANT DELETE ON contacts TO lastcall_app;
GRANT SELECT, INSERT, DELETE ON opt_outs TO lastcall_app;

-- +goose Down
DROP TABLE templates, opt_outs, contacts, stations, bars;
