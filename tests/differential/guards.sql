-- A condition that may fail is asked only of rows that the ones before it let through.
SELECT * FROM (VALUES (1, 0), (4, 2), (6, 3)) g(a, b) WHERE b <> 0 AND a / b > 1 ORDER BY a;
SELECT * FROM (VALUES (1, 0.0), (4, 2.0), (6, 3.0)) g(a, b) WHERE b <> 0 AND a / b > 1 ORDER BY a;
SELECT * FROM (VALUES (1, 0::float8), (4, 2), (6, 3)) g(a, b) WHERE b <> 0 AND a / b > 1 ORDER BY a;
SELECT * FROM (SELECT id, id % 3 AS r FROM numbers WHERE id % 3 <> 0) s WHERE 6 / r > 3 AND id < 9 ORDER BY id;
SELECT id FROM numbers WHERE id % 3 = 0 OR 6 / (id % 3) > 3 ORDER BY id LIMIT 5;
SELECT id, id % 3 <> 0 AND 6 / (id % 3) > 3 AS r FROM numbers WHERE id < 6 ORDER BY id;
SELECT * FROM (VALUES ('n', '12'), ('t', 'x'), ('n', '7')) v(kind, val) WHERE kind = 'n' AND val::int > 8;
SELECT a, CASE WHEN b <> 0 THEN a / b END AS r FROM (VALUES (1, 0), (4, 2)) g(a, b) ORDER BY a;
SELECT a.id FROM numbers a JOIN numbers b ON a.id = b.id AND b.id % 3 <> 0 AND 6 / (b.id % 3) > 3 WHERE a.id < 9 ORDER BY 1;
-- Quotients and averages have the digits of numeric.
SELECT 10.0 / 3 AS r;
SELECT 2 / 1.5 AS r;
SELECT -7.0 / 2 AS r, 7 / -2.0 AS s;
SELECT avg(x) FROM (VALUES (1.5), (2.25), (4)) v(x);
SELECT avg(DISTINCT x) FROM (VALUES (1), (2), (4), (4)) v(x);
SELECT avg(x) OVER (ORDER BY x) FROM (VALUES (3), (4), (6)) v(x);
SELECT avg(x) FROM (VALUES (1::float8), (2)) v(x);
SELECT avg(x) = 9223372036854775806 AS r FROM (VALUES (9223372036854775807), (9223372036854775805)) v(x);
-- Literals become what stands beside them.
SELECT id FROM numbers WHERE ratio > 1e200 OR ratio = 1e300;
SELECT -1e300::float8 AS r, 1e5 AS s, 1.5e-3 AS t;
SELECT 1 + '2' AS r, '10' / 4 AS s, 1.5 * '2' AS t;
SELECT TIMESTAMP '2024-01-31 10:00' + '1 day' AS r;
SELECT DATE '2024-03-01' - '2024-02-01' AS r;
SELECT '2024-02-01' < DATE '2024-03-01' AS r;
SELECT id FROM numbers WHERE price = '35.35' OR id = '3' ORDER BY 1;
-- Operators that there are not.
SELECT 1 = 'a'::text;
SELECT 'a'::text + 1;
SELECT true = 1;
SELECT DATE '2024-01-01' = 1;
SELECT DATE '2024-01-01' + DATE '2024-01-01';
SELECT 1 || 2;
SELECT 1 AND true;
SELECT '1' + '2';
SELECT INTERVAL '1 day' > 5;
