-- Templates are written, reviewed by somebody else, locked and retired; what the provider lists of them; tests of them.

-- +goose Up
ALTER TABLE templates
    ADD COLUMN headers jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(headers) = 'object'), -- by locale, as the texts
    ADD COLUMN footers jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(footers) = 'object'),
    ADD COLUMN revision bigint NOT NULL DEFAULT 1 CHECK (revision > 0), -- of this version: one more with every change
    ADD COLUMN approval_id uuid REFERENCES approvals,                   -- with which it was approved; null: it came so
    ADD COLUMN idempotency_key text UNIQUE,
    ADD COLUMN request_hash bytea,
    ADD CHECK ((idempotency_key IS NULL) = (request_hash IS NULL)),
    DROP CONSTRAINT templates_texts_check,
    ADD CONSTRAINT templates_texts_check CHECK (jsonb_typeof(texts) = 'object' AND (texts <> '{}' OR status IN ('draft', 'retired')));

-- Of a template one version at a time is being written.
CREATE UNIQUE INDEX templates_written ON templates (name) WHERE status IN ('draft', 'submitted');

-- What a version says changes only as it becomes a draft; what is locked stays as it is. It is approved with an approval
-- of it that is not void.
-- +goose StatementBegin
CREATE FUNCTION guard_template() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed boolean := (NEW.category, NEW.variables, NEW.texts, NEW.headers, NEW.footers, NEW.header_media)
        IS DISTINCT FROM (OLD.category, OLD.variables, OLD.texts, OLD.headers, OLD.footers, OLD.header_media);
BEGIN
    IF (NEW.id, NEW.name, NEW.version, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.name, OLD.version, OLD.created_at) THEN
        RAISE EXCEPTION 'a version of a template stays what it is' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.status IN ('locked', 'retired') AND changed THEN
        RAISE EXCEPTION 'a % template cannot be changed', OLD.status USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF changed AND NEW.status <> 'draft' THEN
        RAISE EXCEPTION 'a template that is changed is a draft' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (('draft', 'submitted'), ('submitted', 'draft'), ('submitted', 'approved'),
        ('approved', 'draft'), ('approved', 'locked'), ('draft', 'retired'), ('submitted', 'retired'), ('approved', 'retired'), ('locked', 'retired')) THEN
        RAISE EXCEPTION 'a % template cannot become %', OLD.status, NEW.status USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.status = 'approved' AND OLD.status <> 'approved' AND NOT EXISTS (SELECT FROM approvals a WHERE a.id = NEW.approval_id
        AND a.subject_kind = 'template' AND a.subject_id = NEW.id::text AND a.verdict = 'approved' AND a.voided_at IS NULL) THEN
        RAISE EXCEPTION 'nobody has approved the template' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER templates_guarded BEFORE UPDATE ON templates FOR EACH ROW EXECUTE FUNCTION guard_template();

-- A version begins as a draft. Only of a name that is new the first may come ready, with the installation.
-- +goose StatementBegin
CREATE FUNCTION guard_new_template() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version > 1 OR EXISTS (SELECT FROM templates t WHERE t.name = NEW.name) THEN
        RAISE EXCEPTION 'a version of a template begins as a draft' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER templates_begin_as_drafts BEFORE INSERT ON templates FOR EACH ROW WHEN (NEW.status <> 'draft')
    EXECUTE FUNCTION guard_new_template();

-- Nobody decides about a version of which they wrote anything, be it long ago.
-- +goose StatementBegin
CREATE FUNCTION guard_template_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM edits e WHERE (e.subject_kind, e.subject_id, e.account_id) = (NEW.subject_kind, NEW.subject_id, NEW.actor_id)) THEN
        RAISE EXCEPTION 'nobody decides about a template they have written' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER approvals_template_four_eyes BEFORE INSERT ON approvals FOR EACH ROW WHEN (NEW.subject_kind = 'template')
    EXECUTE FUNCTION guard_template_approval();

-- What the provider listed of a template when it was asked last.
CREATE TABLE template_listings (
    name text NOT NULL CHECK (length(name) <= 512),
    language text NOT NULL CHECK (length(language) BETWEEN 1 AND 64), -- BCP 47
    status text NOT NULL CHECK (length(status) <= 64),   -- the provider's word; '': it lists none
    category text NOT NULL CHECK (length(category) <= 64), -- the provider's, lower case; '': it does not say
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, language)
);
GRANT SELECT, INSERT, UPDATE ON template_listings TO lastcall_app;
ALTER TABLE template_states DROP CONSTRAINT template_states_source_check,
    ADD CONSTRAINT template_states_source_check CHECK (source IN ('webhook', 'send', 'trial', 'operator', 'sync'));

-- Single messages with which somebody looked at a version on a phone. They hold no number.
CREATE TABLE template_tests (
    id uuid PRIMARY KEY,
    template_id uuid NOT NULL REFERENCES templates,
    revision bigint NOT NULL, -- of the version that was sent
    locale text NOT NULL,
    msisdn_hash bytea NOT NULL CHECK (octet_length(msisdn_hash) = 32),
    masked text NOT NULL,
    state text NOT NULL CHECK (state IN ('blocked', 'sending', 'sent', 'delivered', 'read', 'failed', 'unknown')),
    decision jsonb NOT NULL, -- of the policy engine
    problem text NOT NULL DEFAULT '',
    error_code integer NOT NULL DEFAULT 0, -- the provider's
    actor text NOT NULL,
    idempotency_key text,
    request_hash bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz, -- of the newest state
    CHECK ((idempotency_key IS NULL) = (request_hash IS NULL)),
    UNIQUE (template_id, idempotency_key)
);
CREATE INDEX template_tests_newest ON template_tests (template_id, id DESC);
GRANT SELECT, INSERT ON template_tests TO lastcall_app;
GRANT UPDATE (state, problem, error_code, settled_at) ON template_tests TO lastcall_app;

-- As before; and a version that may not be sent any more holds back the campaigns that are under way with it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION standing(of_channel text, of_template uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM channel_states s WHERE s.channel = of_channel AND (s.state <> 'closed' OR s.slowed_until > clock_timestamp()))
        AND NOT EXISTS (SELECT FROM templates x LEFT JOIN template_states s ON s.name = x.name AND s.state <> 'active'
            WHERE x.id = of_template AND (s.name IS NOT NULL OR x.status = 'retired')) THEN
        RETURN NULL; -- with nearly every claim
    END IF;
    RETURN (SELECT jsonb_build_object('channel', c.held, 'template', t.held)
    FROM (SELECT (SELECT to_jsonb(s) FROM channel_states s WHERE s.channel = of_channel
            AND (s.state <> 'closed' OR s.slowed_until > clock_timestamp())) AS held) c,
        (SELECT (SELECT jsonb_build_object('name', x.name, 'version', x.version, 'retired', x.status = 'retired',
                'locales', (SELECT jsonb_object_agg(k, '') FROM jsonb_object_keys(x.texts) k),
                'states', (SELECT jsonb_agg(to_jsonb(s)) FROM template_states s WHERE s.name = x.name))
            FROM templates x WHERE x.id = of_template AND (x.status = 'retired'
              OR EXISTS (SELECT FROM template_states s WHERE s.name = x.name AND s.state <> 'active'))) AS held) t
    WHERE c.held IS NOT NULL OR t.held IS NOT NULL);
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION standing(of_channel text, of_template uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM channel_states s WHERE s.channel = of_channel AND (s.state <> 'closed' OR s.slowed_until > clock_timestamp()))
        AND NOT EXISTS (SELECT FROM templates x JOIN template_states s ON s.name = x.name AND s.state <> 'active' WHERE x.id = of_template) THEN
        RETURN NULL; -- with nearly every claim
    END IF;
    RETURN (SELECT jsonb_build_object('channel', c.held, 'template', t.held)
    FROM (SELECT (SELECT to_jsonb(s) FROM channel_states s WHERE s.channel = of_channel
            AND (s.state <> 'closed' OR s.slowed_until > clock_timestamp())) AS held) c,
        (SELECT (SELECT jsonb_build_object('name', x.name, 'locales', (SELECT jsonb_object_agg(k, '') FROM jsonb_object_keys(x.texts) k),
                'states', (SELECT jsonb_agg(to_jsonb(s)) FROM template_states s WHERE s.name = x.name))
            FROM templates x WHERE x.id = of_template
              AND EXISTS (SELECT FROM template_states s WHERE s.name = x.name AND s.state <> 'active')) AS held) t
    WHERE c.held IS NOT NULL OR t.held IS NOT NULL);
END $$;
-- +goose StatementEnd
DROP TABLE template_tests, template_listings;
UPDATE template_states SET source = 'webhook' WHERE source = 'sync';
ALTER TABLE template_states DROP CONSTRAINT template_states_source_check,
    ADD CONSTRAINT template_states_source_check CHECK (source IN ('webhook', 'send', 'trial', 'operator'));
DROP TRIGGER approvals_template_four_eyes ON approvals;
DROP FUNCTION guard_template_approval();
DROP TRIGGER templates_begin_as_drafts ON templates;
DROP FUNCTION guard_new_template();
DROP TRIGGER templates_guarded ON templates;
DROP FUNCTION guard_template();
DROP INDEX templates_written;
UPDATE templates SET texts = '{"en": ""}' WHERE texts = '{}'; -- a draft without a text
ALTER TABLE templates DROP CONSTRAINT templates_texts_check,
    ADD CONSTRAINT templates_texts_check CHECK (jsonb_typeof(texts) = 'object' AND texts <> '{}'),
    DROP COLUMN headers, DROP COLUMN footers, DROP COLUMN revision, DROP COLUMN approval_id, DROP COLUMN idempotency_key, DROP COLUMN request_hash;
