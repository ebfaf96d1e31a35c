-- The horizon of the log from a head that is known. Positions are given once, so that nothing can appear any more below one that
-- is reached without a gap: mostly these few rows say all, and the locks of the whole server, which cost more the more
-- connections it may have, are looked at only where a gap hides what came later, or much came. A head that is known stays one.
--
-- The settings hold for a plan that is made once a connection, perhaps while the log is empty.
CREATE FUNCTION log_head_after(known BIGINT) RETURNS BIGINT LANGUAGE plpgsql VOLATILE
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    most CONSTANT BIGINT := 500;
    reached BIGINT := known;
    next BIGINT;
BEGIN
    FOR next IN SELECT position FROM events WHERE position > known ORDER BY position LIMIT most LOOP
        IF next > reached + 1 THEN
            RETURN greatest(reached, log_head());
        END IF;
        reached := next;
    END LOOP;
    IF reached = known + most THEN
        RETURN greatest(reached, log_head());
    END IF;
    RETURN reached;
END
$$;
