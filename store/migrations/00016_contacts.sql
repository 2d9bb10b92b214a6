-- Contacts whole: what they agreed to and when, commands they write to us, and how they are forgotten.

-- +goose Up

-- Every word of a contact about marketing, each once and never changed. What holds is the newest by the time at which
-- it was said, whenever it was recorded; of two of one moment, the one recorded later.
CREATE TABLE contact_consents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    at timestamptz NOT NULL, -- when the person said it
    granted boolean NOT NULL, -- else withdrawn
    source text NOT NULL CHECK (source IN ('panel', 'api', 'import', 'join', 'message', 'earlier')),
    reference text NOT NULL CHECK (reference <> '' AND length(reference) <= 500), -- what they saw or said, and where
    actor_kind text NOT NULL, -- who recorded it
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX contact_consents_newest ON contact_consents (contact_id, at DESC, id DESC);
INSERT INTO contact_consents (contact_id, at, granted, source, reference, actor_kind, actor)
    SELECT id, opted_in_at, true, 'earlier', left(opt_in_source, 500), 'system', 'migration' FROM contacts WHERE opted_in_at IS NOT NULL;
GRANT SELECT, INSERT ON contact_consents TO lastcall_app;

-- Nobody but this trigger writes opted_in_at and opt_in_source, so they cannot say otherwise than the history.
-- +goose StatementBegin
CREATE FUNCTION follow_consents() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    UPDATE contacts c SET opted_in_at = CASE WHEN n.granted THEN n.at END,
        opt_in_source = CASE WHEN n.granted THEN n.reference ELSE '' END, updated_at = clock_timestamp()
    FROM (SELECT DISTINCT contact_id FROM new_rows) x, LATERAL (SELECT granted, at, reference FROM contact_consents h
        WHERE h.contact_id = x.contact_id ORDER BY h.at DESC, h.id DESC LIMIT 1) n
    WHERE c.id = x.contact_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER contact_consents_followed AFTER INSERT ON contact_consents
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION follow_consents();
REVOKE INSERT, UPDATE ON contacts FROM lastcall_app;
GRANT INSERT (id, msisdn, name, country, locale, zone, tags, bar_id, created_at, updated_at, msisdn_hash),
    UPDATE (msisdn, name, country, locale, zone, tags, bar_id, updated_at, msisdn_hash) ON contacts TO lastcall_app;

CREATE INDEX contacts_name ON contacts (lower(name) text_pattern_ops); -- of all: the planner reads no statistics of a partial one
CREATE INDEX contacts_hash ON contacts (msisdn_hash); -- from the registry to its people

-- Who wrote STOP to us. The provider's word may be lifted by the provider, theirs only by themselves.
ALTER TABLE opt_outs DROP CONSTRAINT opt_outs_source_check;
ALTER TABLE opt_outs ADD CONSTRAINT opt_outs_source_check CHECK (source IN ('registry', 'provider', 'inbound'));
GRANT UPDATE (source) ON opt_outs TO lastcall_app;

-- The commands that people wrote to us, each once however often its webhook comes, and what they are answered.
-- A message that is no command is not kept. message_hash is the keyed hash of the provider's id: the id itself holds
-- the number, encoded. reply_to is there only until the reply has gone, or will not go any more.
CREATE TABLE inbound_commands (
    message_hash bytea PRIMARY KEY CHECK (octet_length(message_hash) = 32),
    msisdn_hash bytea CHECK (octet_length(msisdn_hash) = 32), -- null: the person was erased
    command text NOT NULL CHECK (command IN ('stop', 'start', 'join')),
    at timestamptz NOT NULL, -- the provider's clock
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answer text NOT NULL DEFAULT '',  -- which text; '' for none
    language text NOT NULL DEFAULT '', -- of the answer
    place text NOT NULL DEFAULT '',    -- the name of a bar that was joined
    reply text NOT NULL DEFAULT 'none' CHECK (reply IN ('none', 'waiting', 'sending', 'sent', 'unknown', 'failed', 'dropped')),
    reply_to text,
    reply_send uuid, -- by which the ledger knows it while it waits for a permit
    replied_at timestamptz,
    error_code integer,
    CHECK ((reply = 'none') = (answer = '')),
    CHECK ((reply IN ('waiting', 'sending')) = (reply_to IS NOT NULL))
);
CREATE INDEX inbound_commands_person ON inbound_commands (msisdn_hash, received_at);
CREATE INDEX inbound_commands_reply_to ON inbound_commands (reply_to) WHERE reply_to IS NOT NULL;
CREATE INDEX inbound_commands_received ON inbound_commands (received_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON inbound_commands TO lastcall_app;

-- A target whose person was erased: its number is a name of its own that tells nothing, and it is never sent to.
ALTER TABLE targets DROP CONSTRAINT targets_msisdn_check;
ALTER TABLE targets ADD CONSTRAINT targets_msisdn_check CHECK (msisdn ~ '^\+[1-9][0-9]{6,14}$' OR msisdn = 'erased-' || id);
ALTER TABLE targets ADD CONSTRAINT targets_erased CHECK (msisdn LIKE '+%'
    OR state NOT IN ('queued', 'sending') AND variables IS NULL AND provider_id IS NULL);

-- Forgets a number where the ledger keeps it: who got a permit lately. The rows stay, since limits count them. The
-- caller has locked all else that it writes.
-- +goose StatementBegin
CREATE FUNCTION forget_recipient(number text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    PERFORM FROM channels ORDER BY name FOR UPDATE;
    UPDATE recent_recipients SET msisdn = 'erased-' || gen_random_uuid() WHERE msisdn = number;
    UPDATE permits SET recipient = 'erased' WHERE recipient = number;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION forget_recipient(text);
-- Nobody gets their number back: erased targets go, and the counts with them.
DELETE FROM target_events WHERE target_id IN (SELECT id FROM targets WHERE msisdn NOT LIKE '+%');
DELETE FROM targets WHERE msisdn NOT LIKE '+%';
ALTER TABLE targets DROP CONSTRAINT targets_erased;
ALTER TABLE targets DROP CONSTRAINT targets_msisdn_check;
ALTER TABLE targets ADD CONSTRAINT targets_msisdn_check CHECK (msisdn ~ '^\+[1-9][0-9]{6,14}$');
DROP TABLE inbound_commands;
REVOKE UPDATE (source) ON opt_outs FROM lastcall_app;
UPDATE opt_outs SET source = 'registry' WHERE source = 'inbound'; -- it stays an opt-out
ALTER TABLE opt_outs DROP CONSTRAINT opt_outs_source_check;
ALTER TABLE opt_outs ADD CONSTRAINT opt_outs_source_check CHECK (source IN ('registry', 'provider'));
DROP INDEX contacts_hash, contacts_name;
REVOKE INSERT (id, msisdn, name, country, locale, zone, tags, bar_id, created_at, updated_at, msisdn_hash),
    UPDATE (msisdn, name, country, locale, zone, tags, bar_id, updated_at, msisdn_hash) ON contacts FROM lastcall_app;
GRANT INSERT, UPDATE ON contacts TO lastcall_app;
DROP TABLE contact_consents;
DROP FUNCTION follow_consents();
