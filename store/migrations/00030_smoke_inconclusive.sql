-- What a smoke test could not prove is neither passed nor failed.

-- +goose Up
ALTER TABLE smoke_runs
    ADD COLUMN inconclusive integer NOT NULL DEFAULT 0 CHECK (inconclusive >= 0),
    DROP CONSTRAINT smoke_runs_outcome_check,
    DROP CONSTRAINT smoke_runs_check1,
    ADD CONSTRAINT smoke_runs_outcome CHECK (outcome = CASE WHEN failed > 0 OR passed + inconclusive = 0 THEN 'failed'
        WHEN inconclusive > 0 THEN 'inconclusive' ELSE 'passed' END);

-- +goose Down
ALTER TABLE smoke_runs DROP CONSTRAINT smoke_runs_outcome;
UPDATE smoke_runs SET outcome = 'failed', failed = failed + inconclusive WHERE outcome = 'inconclusive'; -- not passed
ALTER TABLE smoke_runs DROP COLUMN inconclusive,
    ADD CONSTRAINT smoke_runs_outcome_check CHECK (outcome IN ('passed', 'failed')),
    ADD CONSTRAINT smoke_runs_check1 CHECK ((outcome = 'passed') = (failed = 0 AND passed > 0));
