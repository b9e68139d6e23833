-- What is gone from its listing, so that the rest can be counted without a look at each row: few rows, however many there are.
CREATE INDEX tasks_unlisted ON tasks (account, export)
    WHERE unlisted_at IS NOT NULL;
