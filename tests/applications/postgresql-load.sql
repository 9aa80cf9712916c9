-- Queries whose workers share memory, each answered the same as by one process alone.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
CREATE TABLE part (id int, kind int, text text);
CREATE TABLE whole (id int, part int, weight bigint);
INSERT INTO part SELECT i, i % 97, repeat(md5(i::text), 3) FROM generate_series(1, 25000) i;
INSERT INTO whole SELECT i, i % 25000 + 1, i * 3 FROM generate_series(1, 100000) i;
ANALYZE part, whole;

CREATE FUNCTION nodes(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
        FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
                IF line ~ 'Workers Launched: [1-9]|Parallel Hash Join' THEN
                        RETURN NEXT regexp_replace(line, '^[ >-]*(Workers Launched|Parallel Hash Join).*', '\1');
                END IF;
        END LOOP;
END $$;

-- A hash table in shared memory, that is larger than a worker may have too.
SET work_mem = '256kB';
SET enable_mergejoin = off;
SELECT DISTINCT nodes($$SELECT count(*), sum(length(text)) FROM whole JOIN part ON whole.part = part.id$$) ORDER BY 1;
CREATE VIEW joined AS SELECT kind, count(*), sum(weight) AS weight, sum(length(text)) AS length, max(text) AS text
        FROM whole JOIN part ON whole.part = part.id GROUP BY kind;
CREATE TABLE in_batches AS SELECT * FROM joined;
SET work_mem = '64MB';
CREATE TABLE at_once AS SELECT * FROM joined;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE alone AS SELECT * FROM joined;
RESET max_parallel_workers_per_gather;
SELECT count(*), sum(count) = 100000, sum(weight) = 3 * 100000::bigint * 100001 / 2, sum(length) = 100000 * 96 FROM alone;
SELECT count(*) FROM (SELECT * FROM in_batches EXCEPT SELECT * FROM alone) AS differences;
SELECT count(*) FROM (SELECT * FROM at_once EXCEPT SELECT * FROM alone) AS differences;
SELECT count(*) FROM in_batches JOIN at_once USING (kind);

-- Sorts and indexes that are made by several, large answers, and queries one after the other.
CREATE INDEX ON whole (weight);
CREATE UNIQUE INDEX ON part (id);
SELECT count(*) FROM (SELECT id, lag(id) OVER (ORDER BY weight) AS before FROM whole) AS ordered WHERE id <> before + 1;
SELECT md5(string_agg(text, '' ORDER BY id)) = (SELECT md5(string_agg(repeat(md5(i::text), 3), '' ORDER BY i))
        FROM generate_series(1, 25000) i) FROM part;
SELECT sum(found) FROM (SELECT (SELECT count(*) FROM whole WHERE part % 10 = i) AS found FROM generate_series(0, 9) i) AS all_kinds;
DELETE FROM whole WHERE id % 2 = 0;
VACUUM (PARALLEL 2) whole;
SELECT count(*), sum(id) = 2500000000 FROM whole;
