-- Downloads that wait for another link: few, however many there are, and looked for at every poll and after every attempt.
CREATE INDEX downloads_wanted ON downloads (account, export)
    WHERE wanted_at IS NOT NULL;
