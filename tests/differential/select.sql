-- Select.
SELECT 1;
SELECT 1 AS a, 2.5 AS b, 'x' AS c, true AS d, NULL AS e;
SELECT * FROM numbers WHERE id BETWEEN 5 AND 8;
SELECT id, id + 1, id * 2 AS twice FROM numbers WHERE id < 4;
SELECT n.* FROM numbers n WHERE n.id = 101;
SELECT id, word FROM words ORDER BY word, id;
SELECT id, word FROM words ORDER BY word DESC, id;
SELECT word FROM words ORDER BY word COLLATE "C" LIMIT 3;
SELECT id FROM words ORDER BY flag NULLS FIRST, id DESC;
SELECT id, flag FROM words WHERE flag ORDER BY id;
SELECT id FROM words WHERE NOT flag ORDER BY id;
SELECT id FROM words WHERE flag IS NULL ORDER BY id;
SELECT id FROM words WHERE flag IS NOT TRUE ORDER BY id;
SELECT DISTINCT flag FROM words;
SELECT DISTINCT word, flag FROM words;
SELECT count(*) FROM words;
SELECT id FROM numbers ORDER BY ratio DESC NULLS LAST LIMIT 5;
SELECT id FROM numbers ORDER BY ratio, id LIMIT 3 OFFSET 2;
SELECT id, price FROM numbers ORDER BY price NULLS FIRST, id LIMIT 4;
SELECT max(id), min(id) FROM numbers;
SELECT id FROM numbers WHERE id % 10 = 3 ORDER BY id;
SELECT id FROM numbers WHERE id IN (1, 50, 1000) ORDER BY 1;
SELECT id FROM numbers WHERE id NOT IN (1, 2) AND id < 6 ORDER BY 1;
SELECT id FROM numbers WHERE (id, small) = (7, 7);
SELECT id FROM numbers WHERE id = ANY (ARRAY[3, 9]) ORDER BY id;
SELECT 'a' AS "Quoted Name";
SELECT upper(word) FROM words WHERE id = 1;
SELECT count(*), sum(id) FROM numbers WHERE false;
SELECT id AS x FROM numbers WHERE id < 3 ORDER BY x DESC;
SELECT 1 FROM numbers WHERE id < 3;
SELECT ALL id FROM numbers WHERE id = 1;
-- differs: error 0A000
TABLE customers;
VALUES (1, 'a'), (2, NULL);
SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS t(a, b);
-- differs: error 0A000
SELECT id FROM orders FETCH FIRST 0 ROWS ONLY;
SELECT missing FROM numbers;
SELECT * FROM missing;
SELECT id FROM numbers WHERE word = 1;
SELECT FROM;
SELECT count(*) FROM numbers GROUP BY missing;
SELECT id FROM numbers WHERE;
-- differs: error 42601
SELECT id FROM numbers ORDER BY 9;
-- differs: error 42601
SELECT sum(id) FROM numbers WHERE sum(id) > 1;
-- differs: error 42601
SELECT id, count(*) FROM numbers;
-- differs: error 42703
SELECT numbers.id FROM numbers n;
SELECT no_such_function(1);
-- differs: error 42701
SELECT * FROM customers, customers;
