-- A rehearsal leaves the settings as it found them: the newest revision before it tells how that was.

-- +goose Up
ALTER TABLE rollouts ADD COLUMN settings_before bigint,
    ADD CONSTRAINT rollouts_rehearsal CHECK ((factor > 1) = (settings_before IS NOT NULL));

-- +goose Down
ALTER TABLE rollouts DROP COLUMN settings_before;
