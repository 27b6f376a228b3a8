-- Casts.
SELECT '12'::int AS r;
SELECT '12'::smallint AS r;
SELECT '12'::bigint AS r;
SELECT '12.5'::numeric(6,2) AS r;
SELECT '12.5'::float8 AS r;
SELECT 'abc'::varchar(2) AS r;
SELECT 't'::boolean AS r;
SELECT '2024-05-06'::date AS r;
SELECT '2024-05-06 07:08:09'::timestamp AS r;
SELECT '2024-05-06 07:08:09+02'::timestamptz AS r;
SELECT '1 day'::interval AS r;
SELECT '{1,2}'::int[] AS r;
SELECT '{"a": 1}'::jsonb AS r;
SELECT '11111111-2222-3333-4444-555555555555'::uuid AS r;
SELECT '\x0102'::bytea AS r;
SELECT 'x'::int AS r;
SELECT ''::int AS r;
SELECT '1e3'::float8 AS r;
SELECT '1e400'::float8 AS r;
SELECT '300000'::smallint AS r;
SELECT '  5 '::int AS r;
SELECT '5.5'::int AS r;
SELECT 'yes'::boolean AS r;
SELECT '2'::boolean AS r;
SELECT '{1,x}'::int[] AS r;
SELECT 1.5::int, 2.5::int, -1.5::int, 1.5::float8::int, 2.5::float8::int;
SELECT 1::boolean, 0::boolean, true::int, false::text;
SELECT 3.7::bigint, 99999.5::numeric(6,1);
SELECT 123.456::numeric(5,1), 123.456::numeric(10,4);
SELECT 1::text, 1.50::text, true::text, DATE '2024-01-01'::text, ARRAY[1, 2]::text;
SELECT 1e15::float8, 1e16::float8, 123456789012345678::float8, 0.00001::float8, 0.0001::float8;
SELECT 1::float4 / 3, 1::float8 / 3;
SELECT 1e6::float4, 1e7::float4, 12345678::float4;
SELECT cast(NULL AS int), NULL::text;
SELECT ARRAY[1, 2]::text[], ARRAY['1', '2']::int[];
SELECT 70000::smallint;
SELECT 1.5e20::float8::bigint;
SELECT true::date;
SELECT DATE '2024-01-01'::int;
SELECT ROW(1, 2) = ROW(1, 2);
-- differs: [?column?:16, ?column?:16] t | f
SELECT (1, 2) < (1, 3), (1, NULL) = (1, 2);
-- differs: error 22007
SELECT 'infinity'::date > DATE '2024-01-01';
SELECT id, key FROM documents ORDER BY key NULLS FIRST;
-- differs: [id:23, raw:17, length:23] 1 | \x5c7830306666 | 6 / 2 | \x | 0 / 3 | NULL | NULL / 4 | \x5c783631363
SELECT id, raw, length(raw) FROM documents;
SELECT id, tags, cardinality(tags), tags[1] FROM documents;
SELECT id FROM documents WHERE 'red' = ANY (tags);
SELECT id, unnest(tags) FROM documents WHERE id < 3;
SELECT id, doc FROM documents;
SELECT id, doc -> 'list', doc ->> 'name', doc -> 'list' -> 2 ->> 'x' FROM documents;
SELECT id, jsonb_typeof(doc) FROM documents;
SELECT doc -> 0, doc ->> 1 FROM documents WHERE id = 2;
SELECT doc @> '{"size": 3}', doc ? 'on' FROM documents WHERE id = 1;
SELECT jsonb_array_length(doc) FROM documents WHERE id = 2;
SELECT doc #>> '{list,1}' FROM documents WHERE id = 1;
SELECT (doc ->> 'size')::int * 2 FROM documents WHERE id = 1;
SELECT jsonb_build_object('a', 1, 'b', NULL), jsonb_build_array(1, 'x', true);
SELECT to_jsonb('x'::text), to_jsonb(1), to_jsonb(ARRAY[1, 2]);
-- differs: [array_position:1700, array_remove:1016, array_cat:1007] 2 | {2} | {1,2}
SELECT array_position(ARRAY[3, 1, 2], 1), array_remove(ARRAY[1, 2, 1], 1), array_cat(ARRAY[1], ARRAY[2]);
SELECT ARRAY[ARRAY[1, 2], ARRAY[3, 4]], array_ndims(ARRAY[ARRAY[1], ARRAY[2]]);
SELECT ARRAY(SELECT id FROM customers WHERE id < 4 ORDER BY id);
-- differs: [array:1007, array:23] {2,3} | NULL
SELECT (ARRAY[1, 2, 3])[2:3], (ARRAY[1, 2, 3])[5];
SELECT ARRAY[1, NULL] = ARRAY[1, NULL], ARRAY[1, 2] < ARRAY[1, 3];
