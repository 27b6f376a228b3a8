-- Logic.
SELECT true AND NULL, false AND NULL, true OR NULL, NOT NULL;
SELECT NULL IS NULL, 1 IS NOT NULL, NULL = NULL;
SELECT 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL;
SELECT id FROM words WHERE word IS NOT DISTINCT FROM NULL AND id > 0;
SELECT id FROM words WHERE flag IS NOT DISTINCT FROM true AND id < 9 ORDER BY id;
SELECT id FROM words WHERE (flag IS DISTINCT FROM false) = true ORDER BY id;
SELECT flag IS TRUE, flag IS NOT FALSE, flag IS UNKNOWN FROM words WHERE id IN (1, 2, 3);
SELECT CASE WHEN flag THEN 'y' WHEN NOT flag THEN 'n' ELSE '?' END FROM words ORDER BY id;
SELECT CASE id WHEN 1 THEN 'one' WHEN 2 THEN 'two' END FROM words WHERE id < 4 ORDER BY id;
SELECT coalesce(NULL, NULL), coalesce(NULL, 1, 2);
SELECT nullif('a', 'a'), nullif(1, NULL);
SELECT 1 IN (2, NULL), 1 NOT IN (2, NULL), NULL IN (NULL);
-- differs: [?column?:16, ?column?:16, ?column?:16] f | t | t
SELECT 3 = ANY (ARRAY[1, NULL]), 3 <> ALL (ARRAY[1, 2]), 1 = ALL (ARRAY[]::int[]);
SELECT NOT (1 = 2 OR 2 = 3) AND 1 = 1;
SELECT 1 WHERE NULL;
SELECT 1 WHERE 1 = 1 AND NOT false;
-- differs: [?column?:16, ?column?:16] f | f
SELECT 'a' = 'a ', 'a'::char(3) = 'a';
SELECT true > false, least(true, false), true::text || '!';
SELECT 1 AND true;
-- differs: [case:23] 2
SELECT CASE WHEN 1 THEN 2 END;
SELECT NULL::int + 1 IS NULL;
-- differs: error 42883
SELECT num_nulls(1, NULL, 2), num_nonnulls(1, NULL);
SELECT id FROM numbers WHERE (id, small) >= (99, 5) ORDER BY id;
SELECT (1, 2) <> (1, 2), (2, 1) > (1, 9), (1, 2) <= (1, 2);
SELECT 5 BETWEEN SYMMETRIC 9 AND 3, 5 NOT BETWEEN SYMMETRIC 7 AND 6;
SELECT 'abc' SIMILAR TO '%(b|d)%', 'abc' NOT SIMILAR TO 'a_c', 'a.c' SIMILAR TO 'a.c', 'abc' SIMILAR TO 'a.c';
SELECT 'ab'::char(5) = 'ab', 'ab'::char(5) = 'ab   x', 'ab'::char(5) < 'ac'::text, 'ab'::char(5) = 'ab'::char(3);
SELECT id FROM orders WHERE id = ANY (SELECT order_id FROM items) AND id < 4 ORDER BY id;
