-- What is to be published is found among all runs that are open without a look at each.
DROP INDEX run_that_is_open;
CREATE INDEX run_that_is_open ON run (status, id) WHERE status <> 'ended';
