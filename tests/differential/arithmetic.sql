-- Arithmetic.
SELECT id, small + id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, id + big / 1000 AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, id + price AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, ratio + id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, price + ratio AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, approx + id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, small - id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, id - big / 1000 AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, id - price AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, ratio - id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, price - ratio AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, approx - id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, small * id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, id * big / 1000 AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, id * price AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, ratio * id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, price * ratio AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id, approx * id AS r FROM numbers WHERE id IN (3, 40, 101);
SELECT id / 7, id % 7, -id / 7, -id % 7 FROM numbers WHERE id IN (20, 55);
SELECT big / 3 FROM numbers WHERE id = 10;
SELECT price / 4 > 1 FROM numbers WHERE id = 9;
SELECT ratio / 2 FROM numbers WHERE id < 6;
SELECT 7 / 2, 7.0 / 2 = 3.5, 7 / 2.0::float8;
SELECT id / 0 FROM numbers;
SELECT price / 0 FROM numbers;
SELECT ratio / 0 FROM numbers;
SELECT id % 0 FROM numbers;
SELECT small + 32767::smallint FROM numbers WHERE id = 5;
SELECT id + 2147483647 FROM numbers WHERE id = 5;
SELECT big * 1000000000000 FROM numbers WHERE id = 5;
SELECT 2147483647 + 1::bigint;
SELECT -(-2147483648);
-- differs: error 0A000
SELECT @ -5;
-- differs: error 0A000
SELECT |/ 16::float8;
SELECT 2 ^ 3;
SELECT 2 ^ 0.5::float8;
-- differs: error 0A000
SELECT 5 & 12, 5 | 8, 5 # 1, ~5;
-- differs: [?column?:20, ?column?:20] 32 | 128
SELECT 1 << 5, 1024 >> 3;
SELECT 1 + NULL, NULL * 2;
SELECT - 5 + 3, -(5 + 3), 2 - -2;
SELECT 1 + 2 * 3 - 4 / 2;
SELECT (1 + 2) * 3;
SELECT 1 + '2';
SELECT 1 + 'two';
SELECT '1' + '2';
SELECT 1 = 1.0, 1 < 1.5, 2 > 1.5::float8, 1::smallint = 1::bigint;
SELECT 0.1::float8 + 0.2::float8 = 0.3::float8;
SELECT 0.1 + 0.2 = 0.3;
SELECT 'NaN'::float8 = 'NaN'::float8, 'NaN'::float8 > 1;
-- differs: error 0A000
SELECT 1e300::float8 * 1e300::float8;
SELECT 1.5 BETWEEN 1 AND 2, 3 NOT BETWEEN 1 AND 2;
-- differs: error 42601
SELECT id BETWEEN SYMMETRIC 9 AND 3 FROM numbers WHERE id = 5;
