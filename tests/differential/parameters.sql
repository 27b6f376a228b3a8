-- The types of parameters that a client does not give.
SELECT $1::int2, $2::int4, $3::int8, $4::float4, $5::float8, $6::bool, $7::text, $8::bytea, $9::int4[];
SELECT CAST($1 AS date), $2::timestamptz, $3::uuid, $4::numeric, $5::jsonb, $6::varchar, $7::text[];
SELECT $1 + 1;
SELECT 1 + $1::int2;
SELECT $1 || 'x';
SELECT $1;
SELECT id FROM numbers WHERE id = $1;
SELECT id FROM numbers WHERE $1 = small;
SELECT id FROM numbers WHERE big > $1 AND price < $2 AND ratio <> $3;
SELECT id FROM numbers WHERE id IN ($1, $2, 3);
SELECT id FROM numbers WHERE id BETWEEN $1 AND $2;
-- differs: takes [25], gives [23]
SELECT id FROM numbers WHERE id = ANY ($1);
SELECT id FROM words WHERE word LIKE $1 OR word = $2;
SELECT id FROM words WHERE flag = $1 OR lower(word) = $2;
SELECT id FROM moments WHERE d > $1 AND ts < $2 AND tz = $3;
SELECT id FROM moments WHERE d = $1::text::date;
SELECT id FROM documents WHERE key = $1;
SELECT id FROM numbers ORDER BY id LIMIT $1 OFFSET $2;
-- differs: takes [25], gives [23]
SELECT coalesce($1, id) FROM numbers;
SELECT CASE WHEN id = $1 THEN $2 ELSE word END FROM words;
SELECT length($1), upper($2), abs($3::int);
-- differs: takes [25, 25], gives [25]
SELECT substr(word, $1, $2) FROM words;
SELECT $1::int AS a, $1 + 2 AS b;
SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.name = $1 AND o.total >= $2;
SELECT count(*) FROM (SELECT id FROM numbers WHERE small = $1) s WHERE s.id < $2;
SELECT id FROM numbers WHERE id = (SELECT max(id) FROM numbers WHERE big < $1);
INSERT INTO et (a, b, c, d, f) VALUES ($1, $2, $3, $4, $5);
INSERT INTO et (a, h) VALUES ($1 + 1, $2), (3, $3);
-- differs: takes [25, 25], gives []
INSERT INTO et (a, b) SELECT $1, $2;
INSERT INTO et (a, b) SELECT id, $1 FROM numbers WHERE id = $2;
UPDATE et SET a = $1, c = $2 WHERE h = $3;
UPDATE et SET a = a + $1 WHERE b = $2;
DELETE FROM et WHERE e < $1 AND g = $2;
SELECT id FROM numbers WHERE id = ANY ($1) AND small <> ALL ($2);
SELECT CASE WHEN id > 1 THEN $1 ELSE price END FROM numbers;
SELECT round(price, $1), left(word, $2) FROM numbers, words;
SELECT id FROM words WHERE word IN ($1, $2) AND id IN ($3, 4);
