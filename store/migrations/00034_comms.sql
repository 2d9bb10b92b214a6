-- What a rollout tells people, and the reviews of its days.

-- +goose Up
-- Each time somebody had an announcement sent: what it said, to whom, and what became of it.
CREATE TABLE announcements (
    id uuid PRIMARY KEY,
    rollout text NOT NULL REFERENCES rollouts,
    announcement text NOT NULL, -- of the plan
    phase text NOT NULL,
    plan_version integer NOT NULL,
    state text NOT NULL DEFAULT 'checking' CHECK (state IN ('checking', 'refused', 'sent')), -- checking: its links are looked at
    letter jsonb NOT NULL, -- as it was looked at before it was sent
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    sent_by uuid NOT NULL REFERENCES accounts,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at timestamptz,
    problem text NOT NULL DEFAULT '' CHECK (length(problem) <= 500), -- refused: why
    FOREIGN KEY (rollout, plan_version) REFERENCES rollout_plans,
    CHECK ((state = 'checking') = (decided_at IS NULL)),
    CHECK ((state = 'refused') = (problem <> ''))
);
CREATE INDEX announcements_of ON announcements (rollout, announcement, id DESC);
CREATE UNIQUE INDEX announcements_checking ON announcements (rollout, announcement) WHERE state = 'checking';
GRANT SELECT, INSERT ON announcements TO lastcall_app;
GRANT UPDATE (state, decided_at, problem) ON announcements TO lastcall_app;

-- Its messages: one mail a list, and one to the Ops channel. It went out when each of them was delivered.
CREATE TABLE announcement_messages (
    id uuid PRIMARY KEY,
    announcement_id uuid NOT NULL REFERENCES announcements,
    channel text NOT NULL CHECK (channel IN ('mail', 'ops')),
    list text NOT NULL DEFAULT '' CHECK ((channel = 'mail') = (list <> '')),
    recipients integer NOT NULL CHECK (recipients >= 0), -- addresses; 0 for the Ops channel
    outbox_id bigint, -- the message that carries it; its row is forgotten a week after
    delivered_at timestamptz,
    outcome text CHECK (outcome IN ('delivered', 'no_channel', 'refused')),
    UNIQUE (announcement_id, channel, list),
    CHECK ((delivered_at IS NULL) = (outcome IS NULL))
);
GRANT SELECT, INSERT ON announcement_messages TO lastcall_app;
GRANT UPDATE (outbox_id, delivered_at, outcome) ON announcement_messages TO lastcall_app;

-- What was found when links were last looked at.
CREATE TABLE link_checks (
    url text PRIMARY KEY CHECK (length(url) <= 500),
    problem text NOT NULL DEFAULT '' CHECK (length(problem) <= 200), -- '': it leads somewhere
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE ON link_checks TO lastcall_app;

-- The reviews of days. One is opened each day of a phase that asks for it; somebody signs it, once.
CREATE TABLE daily_reviews (
    id uuid PRIMARY KEY,
    rollout text NOT NULL REFERENCES rollouts,
    phase text NOT NULL,
    phase_since timestamptz NOT NULL,
    day text NOT NULL CHECK (length(day) BETWEEN 1 AND 20),
    due_at timestamptz NOT NULL,
    remind_at timestamptz NOT NULL,
    from_at timestamptz NOT NULL, -- what it is about
    to_at timestamptz NOT NULL CHECK (to_at > from_at),
    snapshot jsonb NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32), -- of the snapshot: what is signed
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reminded_at timestamptz,
    approval_id uuid UNIQUE REFERENCES approvals, -- of who signed it, with their notes
    signed_at timestamptz,
    UNIQUE (rollout, phase_since, day),
    CHECK ((approval_id IS NULL) = (signed_at IS NULL))
);
CREATE INDEX daily_reviews_open ON daily_reviews (due_at) WHERE signed_at IS NULL;
GRANT SELECT, INSERT ON daily_reviews TO lastcall_app;
GRANT UPDATE (reminded_at, approval_id, signed_at) ON daily_reviews TO lastcall_app;

-- What was signed stays signed.
-- +goose StatementBegin
CREATE FUNCTION daily_review_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a signed review stays as it is' USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER daily_reviews_signed BEFORE UPDATE ON daily_reviews FOR EACH ROW WHEN (OLD.signed_at IS NOT NULL) EXECUTE FUNCTION daily_review_signed();

-- +goose Down
DROP TABLE daily_reviews, link_checks, announcement_messages, announcements;
DROP FUNCTION daily_review_signed();
