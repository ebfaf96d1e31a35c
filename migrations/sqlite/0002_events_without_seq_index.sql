-- The index was a second fence around `seq` and cost a random page of the log for each event. The number comes from
-- `instance_counters` in the transaction that appends the event, and there is one writer: two can never be given.
DROP INDEX events_by_seq;
