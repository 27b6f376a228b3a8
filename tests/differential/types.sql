-- Types.
SELECT pg_typeof(1) AS t;
SELECT pg_typeof(2147483648) AS t;
SELECT pg_typeof(1.5) AS t;
SELECT pg_typeof(1.5::float8) AS t;
-- differs: [t:2206] 25
SELECT pg_typeof('a') AS t;
SELECT pg_typeof(true) AS t;
SELECT pg_typeof(NULL) AS t;
SELECT pg_typeof(now()) AS t;
SELECT pg_typeof(1 + 1.5) AS t;
SELECT pg_typeof(1::smallint + 1) AS t;
SELECT pg_typeof(ARRAY[1]) AS t;
SELECT pg_typeof(current_date) AS t;
SELECT pg_typeof(INTERVAL '1 day') AS t;
SELECT pg_typeof(count(*)) AS t;
SELECT pg_typeof(sum(1)) AS t;
-- differs: [t:2206] 20
SELECT pg_typeof(sum(1::bigint)) AS t;
SELECT pg_typeof(avg(1)) AS t;
SELECT pg_typeof(max(1.5)) AS t;
SELECT pg_typeof('a' || 'b') AS t;
SELECT pg_typeof(1 = 1) AS t;
SELECT pg_typeof(coalesce(1, 2.5)) AS t;
SELECT pg_typeof(CASE WHEN true THEN 1 ELSE 2.5 END) AS t;
SELECT pg_typeof(length('x')) AS t;
SELECT pg_typeof(extract(year FROM now())) AS t;
SELECT pg_typeof(round(1.5)) AS t;
SELECT pg_typeof(round(1.5::float8)) AS t;
SELECT pg_typeof(1 / 2) AS t;
SELECT pg_typeof(power(2, 2)) AS t;
SELECT pg_typeof(greatest(1, 2::bigint)) AS t;
SELECT pg_typeof(nullif(1, 2)) AS t;
