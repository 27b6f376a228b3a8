-- Functions math.
SELECT id, abs(price) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, abs(ratio) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, ceil(price) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, ceil(ratio) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, floor(price) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, floor(ratio) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, round(price) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, round(ratio) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, sign(price) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, sign(ratio) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, trunc(price) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, trunc(ratio) AS r FROM numbers WHERE id IN (3, 40, 60, 77);
SELECT id, round(sqrt(price)::numeric(20,10), 6) FROM numbers WHERE id IN (3, 40);
SELECT id, sqrt(ratio) AS r FROM numbers WHERE id IN (3, 40, 60, 77) AND ratio >= 0;
SELECT abs(id), sign(id) FROM numbers WHERE id = 3;
SELECT round(2.5), round(-2.5), round(0.5), round(1.5);
SELECT round(2.5::float8), round(-2.5::float8), round(0.5::float8), round(1.5::float8);
SELECT round(123.456, 1), round(123.456, -1), trunc(123.456, 2), trunc(-1.7);
SELECT mod(17, 5), mod(-17, 5), mod(17.5, 5);
SELECT power(2, 3), power(2.0::float8, 0.5);
SELECT exp(1::float8), ln(10::float8), log(100::float8);
SELECT gcd(12, 18), lcm(4, 6), factorial(6);
SELECT div(17, 5);
-- differs: [greatest:1700, least:1700] 2.5 | 1.0
SELECT greatest(1, 2.5, 2), least(1, 2.5);
SELECT greatest(NULL, 1), least(NULL, NULL);
SELECT sin(1::float8), cos(1::float8), tan(1::float8), atan2(1, 2);
SELECT degrees(1::float8), radians(180::float8), pi();
-- differs: [cbrt:701, sqrt:701] 3 | 1.4142135623730951
SELECT cbrt(27::float8), sqrt(2::float8);
SELECT width_bucket(5.35::float8, 0.024, 10.06, 5);
SELECT sqrt(-1::float8);
SELECT ln(0::float8);
SELECT abs(NULL::int);
-- differs: error 42883
SELECT scale(1.230), trim_scale(1.230), min_scale(1.230);
SELECT isfinite(DATE '2024-01-01');
