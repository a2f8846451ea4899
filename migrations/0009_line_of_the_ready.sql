-- What is ready, in the order in which it is handed out: a claim reads the first of the line and not all.
DROP INDEX build_that_is_ready;
CREATE INDEX build_in_line ON build (build_set_id, remaining_ms DESC, unlocks DESC, id)
    WHERE status = 'pending' AND refers_to IS NULL;
CREATE INDEX build_put_off ON build (not_before) WHERE status = 'pending' AND not_before IS NOT NULL;
