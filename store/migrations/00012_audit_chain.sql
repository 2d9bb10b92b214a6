-- The audit log becomes a chain: each row is sealed once, with the hash of the one before it. What is here keeps
-- honest people honest; who owns the database can take all of it away, and is found out by the verifier, which
-- trusts no function of this file, and by the signed checkpoints, which are elsewhere too.

-- +goose Up
DROP TRIGGER audit_log_append_only ON audit_log;
DROP INDEX audit_log_target;
ALTER TABLE audit_log RENAME COLUMN at TO created_at;
ALTER TABLE audit_log
    ADD COLUMN actor_id text,
    ADD COLUMN seq bigint CONSTRAINT audit_log_seq UNIQUE, -- null until sealed
    ADD COLUMN prev_hash bytea,
    ADD COLUMN hash bytea,
    ADD CONSTRAINT audit_log_sealed CHECK (seq IS NULL AND prev_hash IS NULL AND hash IS NULL
        OR seq IS NOT NULL AND seq > 0 AND prev_hash IS NOT NULL AND octet_length(prev_hash) = 32
            AND hash IS NOT NULL AND octet_length(hash) = 32),
    ADD CONSTRAINT audit_log_time CHECK (created_at >= '2000-01-01 00:00Z' AND created_at < '9999-01-01 00:00Z');
UPDATE audit_log l SET actor_id = coalesce(
    (SELECT a.id::text FROM accounts a WHERE l.actor_kind = 'account' AND a.email = l.actor), l.actor);
ALTER TABLE audit_log ALTER COLUMN actor_id SET NOT NULL;

-- By id + 0, so that no other index stands in for it: when most rows are unsealed, as after this migration, the planner
-- would go by the primary key over all that is sealed, with every batch anew.
CREATE INDEX audit_log_unsealed ON audit_log ((id + 0)) WHERE seq IS NULL;
CREATE INDEX audit_log_time ON audit_log (created_at, id);
CREATE INDEX audit_log_target ON audit_log (target, created_at, id);
CREATE INDEX audit_log_action ON audit_log (action, created_at, id);
CREATE INDEX audit_log_actor ON audit_log (actor_id, created_at, id);
CREATE INDEX audit_log_actor_action ON audit_log (actor_id, action, created_at, id);
CREATE INDEX audit_log_request ON audit_log (request_id, created_at, id) WHERE request_id <> '';

-- Who serves says what happened; when, in which order and with which seal is not theirs to say.
REVOKE INSERT ON audit_log FROM lastcall_app;
GRANT INSERT (actor_kind, actor, actor_id, action, target, diff, reason, request_id, policy_revision) ON audit_log TO lastcall_app;

-- The last row sealed, so that a cut tail is seen at once.
CREATE TABLE audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq bigint NOT NULL CHECK (seq >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));
GRANT SELECT ON audit_head TO lastcall_app;

-- Where the chain begins since retention took what was before: row seq had this hash, says whoever signed.
CREATE TABLE audit_anchors (
    seq bigint PRIMARY KEY CHECK (seq > 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    origin text NOT NULL,
    created_at timestamptz NOT NULL,
    signer bytea NOT NULL CHECK (octet_length(signer) = 32), -- an Ed25519 public key
    signature bytea NOT NULL CHECK (octet_length(signature) = 64)
);
GRANT SELECT ON audit_anchors TO lastcall_app;

-- What the chain was at some time, signed. The same lines are in a file and in the Ops channel.
CREATE TABLE audit_checkpoints (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    size bigint NOT NULL CHECK (size > 0), -- the seq of the last row
    head bytea NOT NULL CHECK (octet_length(head) = 32), -- its hash
    origin text NOT NULL,
    created_at timestamptz NOT NULL,
    signer bytea NOT NULL CHECK (octet_length(signer) = 32),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64)
);
GRANT SELECT, INSERT ON audit_checkpoints TO lastcall_app;

-- The canonical form of a sealed row: this object as jsonb prints it, which sorts members by the length of their
-- names, then bytewise. domain/audit makes the same without asking Postgres.
-- +goose StatementBegin
CREATE FUNCTION audit_canonical(r audit_log) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('seq', r.seq, 'id', r.id,
        'created_at', to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'actor_kind', r.actor_kind, 'actor_id', r.actor_id, 'actor', r.actor, 'action', r.action, 'target', r.target,
        'diff', r.diff, 'reason', r.reason, 'request_id', r.request_id, 'policy_revision', r.policy_revision)::text
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION audit_hash(prev bytea, r audit_log) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(prev || convert_to(public.audit_canonical(r), 'UTF8'))
$$;
-- +goose StatementEnd

-- Seals up to batch rows in the order of their ids and says how many. Only rows that are committed are seen, so one
-- that commits late gets a later seq than its neighbours: no gap, no row forgotten. Sealers queue up.
-- +goose StatementBegin
CREATE FUNCTION audit_seal(batch integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r public.audit_log;
    last_seq bigint;
    last_hash bytea;
    sealed integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_log WHERE seq IS NULL ORDER BY id + 0 LIMIT 1) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('audit_seal'));
    -- It goes on from the head, not from the newest row: what somebody cut off or put there stays visible.
    SELECT greatest(h.seq, (SELECT max(l.seq) FROM public.audit_log l)), h.hash INTO STRICT last_seq, last_hash FROM public.audit_head h;
    FOR r IN SELECT * FROM public.audit_log WHERE seq IS NULL ORDER BY id + 0 LIMIT batch LOOP
        r.seq := last_seq + 1;
        r.prev_hash := last_hash;
        r.hash := public.audit_hash(last_hash, r);
        UPDATE public.audit_log SET seq = r.seq, prev_hash = r.prev_hash, hash = r.hash WHERE id = r.id;
        last_seq := r.seq;
        last_hash := r.hash;
        sealed := sealed + 1;
    END LOOP;
    IF sealed > 0 THEN
        UPDATE public.audit_head SET seq = last_seq, hash = last_hash;
    END IF;
    RETURN sealed;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit_seal(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_seal(integer) TO lastcall_app;

-- Says where the chain shall begin. Every row up to there must be sealed and older than 90 days.
-- +goose StatementBegin
CREATE FUNCTION audit_anchor(seq bigint, hash bytea, origin text, at timestamptz, signer bytea, signature bytea)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_log l WHERE l.seq = audit_anchor.seq AND l.hash = audit_anchor.hash) THEN
        RAISE EXCEPTION 'no row % has this hash', audit_anchor.seq USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM public.audit_log l WHERE l.seq <= audit_anchor.seq AND l.created_at >= now() - interval '90 days') THEN
        RAISE EXCEPTION 'audit_log keeps its rows for 90 days' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO public.audit_anchors (seq, hash, origin, created_at, signer, signature)
        VALUES (audit_anchor.seq, audit_anchor.hash, audit_anchor.origin, at, audit_anchor.signer, audit_anchor.signature);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit_anchor(bigint, bytea, text, timestamptz, bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_anchor(bigint, bytea, text, timestamptz, bytea, bytea) TO lastcall_app;

-- Deletes up to batch rows that the newest anchor stands for, and says how many.
-- +goose StatementBegin
CREATE FUNCTION audit_prune(batch integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM public.audit_log WHERE seq IN (SELECT l.seq FROM public.audit_log l
        WHERE l.seq <= (SELECT max(a.seq) FROM public.audit_anchors a) ORDER BY l.seq LIMIT batch);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit_prune(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_prune(integer) TO lastcall_app;

-- Nobody changes a row, but a row may be sealed, once and rightly; nobody deletes one, but what an anchor stands for
-- and is older than 90 days may go. The rule looks at what is done, not at who says that he may.
-- +goose StatementBegin
CREATE FUNCTION audit_log_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bare public.audit_log;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.seq <= (SELECT max(a.seq) FROM public.audit_anchors a) AND OLD.created_at < now() - interval '90 days' THEN
            RETURN OLD;
        END IF;
    ELSIF OLD.seq IS NULL AND NEW.seq IS NOT NULL THEN
        bare := NEW;
        bare.seq := NULL;
        bare.prev_hash := NULL;
        bare.hash := NULL;
        IF bare IS NOT DISTINCT FROM OLD AND NEW.hash = public.audit_hash(NEW.prev_hash, NEW)
            AND (EXISTS (SELECT FROM public.audit_log l WHERE l.seq = NEW.seq - 1 AND l.hash = NEW.prev_hash)
                OR EXISTS (SELECT FROM public.audit_head h WHERE h.seq < NEW.seq AND h.hash = NEW.prev_hash)) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_guard();
CREATE TRIGGER audit_log_never_empty BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_born_unsealed BEFORE INSERT ON audit_log FOR EACH ROW
    WHEN (NEW.seq IS NOT NULL OR NEW.prev_hash IS NOT NULL OR NEW.hash IS NOT NULL) EXECUTE FUNCTION refuse_change();

-- +goose StatementBegin
CREATE FUNCTION audit_head_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.seq > OLD.seq AND EXISTS (SELECT FROM public.audit_log l WHERE l.seq = NEW.seq AND l.hash = NEW.hash) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_head only moves on' USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_head_moves_on BEFORE UPDATE ON audit_head FOR EACH ROW EXECUTE FUNCTION audit_head_guard();
CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_anchors_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchors
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose Down
DROP TRIGGER audit_log_append_only ON audit_log;
DROP TRIGGER audit_log_never_empty ON audit_log;
DROP TRIGGER audit_log_born_unsealed ON audit_log;
DROP FUNCTION audit_seal(integer), audit_anchor(bigint, bytea, text, timestamptz, bytea, bytea), audit_prune(integer),
    audit_log_guard(), audit_hash(bytea, audit_log), audit_canonical(audit_log);
DROP TABLE audit_head, audit_anchors, audit_checkpoints;
DROP FUNCTION audit_head_guard();
DROP INDEX audit_log_unsealed, audit_log_time, audit_log_target, audit_log_action, audit_log_actor, audit_log_actor_action, audit_log_request;
ALTER TABLE audit_log DROP COLUMN seq, DROP COLUMN prev_hash, DROP COLUMN hash, DROP COLUMN actor_id,
    DROP CONSTRAINT audit_log_time;
ALTER TABLE audit_log RENAME COLUMN created_at TO at;
CREATE INDEX audit_log_target ON audit_log (target, id);
REVOKE INSERT ON audit_log FROM lastcall_app;
GRANT INSERT ON audit_log TO lastcall_app;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
