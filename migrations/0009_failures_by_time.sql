-- The failures of the last day are on the home page.
CREATE INDEX run_that_failed ON run (ended_at) WHERE class <> 'success';
