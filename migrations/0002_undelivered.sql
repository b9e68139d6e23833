-- What is not stored, so that it can be counted at any time: few rows, however many there are.
CREATE INDEX downloads_undelivered ON downloads (account, export)
    WHERE state <> 'stored';
