-- A rehearsal is a rollout whose durations pass that many times as fast; no clock is told anything else.

-- +goose Up
ALTER TABLE rollouts ADD COLUMN factor integer NOT NULL DEFAULT 1 CHECK (factor BETWEEN 1 AND 100000);

-- +goose Down
ALTER TABLE rollouts DROP COLUMN factor;
