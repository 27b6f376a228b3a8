-- The tables of the differential test, made on PostgreSQL and on headwater.
CREATE TABLE numbers (id int, small smallint, big bigint, price numeric(12, 2), ratio double precision, approx real);
INSERT INTO numbers SELECT n, (n % 100)::smallint, n * 1000000007::bigint, (n * 7 % 1000) / 10.0, (n - 50) / 8.0::float8, (n / 4.0)::real
FROM generate_series(1, 100) AS g(n);
INSERT INTO numbers VALUES (101, NULL, NULL, NULL, NULL, NULL), (NULL, 0, -1, -0.05, 'NaN', 0), (103, -32768, 9223372036854775807, 9999999999.99, 'Infinity', -1.5);
CREATE TABLE words (id int, word text, short varchar(6), flag boolean);
INSERT INTO words VALUES
    (1, 'apple', 'ap', true), (2, 'Banana', 'ba', false), (3, 'cherry pie', 'ch', NULL), (4, '', '', true), (5, NULL, NULL, false),
    (6, 'größe', 'gr', true), (7, '日本', 'ja', false), (8, 'apple', 'xx', true), (9, '  padded ', ' p', NULL), (10, 'it''s', 'its', false),
    (11, '100%', 'pct', true), (12, 'under_score', 'us', true), (13, E'two\nlines', 'nl', false), (14, 'ZEBRA', 'ze', NULL);
CREATE TABLE moments (id int, d date, ts timestamp, tz timestamptz);
INSERT INTO moments SELECT n, DATE '2023-11-20' + n * 3, TIMESTAMP '2023-11-20 13:14:15.25' + n * INTERVAL '37 hours', TIMESTAMPTZ '2023-11-20 22:00:00+00' + n * INTERVAL '5 days'
FROM generate_series(1, 40) AS g(n);
INSERT INTO moments VALUES (41, NULL, NULL, NULL), (42, '1969-12-31', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00'), (43, '0001-01-01', '9999-12-31 00:00:00', '2000-02-29 12:00:00+00');
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, city text, since date);
INSERT INTO customers SELECT n, 'customer ' || n, (array['Berlin', 'Paris', 'Oslo', NULL])[1 + n % 4], DATE '2020-01-01' + n * 11 FROM generate_series(1, 25) AS g(n);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, placed date, total numeric(10, 2), status text);
INSERT INTO orders SELECT n, CASE WHEN n % 13 = 0 THEN NULL ELSE 1 + n * 7 % 30 END, DATE '2023-01-01' + n * 2, (n * 37 % 500) + 0.25, (array['new', 'paid', 'sent'])[1 + n % 3] FROM generate_series(1, 120) AS g(n);
CREATE TABLE items (order_id int, line int, product text, quantity int, price numeric(8, 2));
INSERT INTO items SELECT o, l, 'product ' || (o * 3 + l) % 9, 1 + (o + l) % 5, ((o * l) % 90) + 0.99 FROM generate_series(1, 120) AS a(o), generate_series(1, 3) AS b(l) WHERE (o + l) % 4 <> 0;
CREATE TABLE documents (id int, doc jsonb, tags text[], key uuid, raw bytea);
INSERT INTO documents VALUES
    (1, '{"name": "a", "size": 3, "on": true, "list": [1, 2, {"x": null}]}', ARRAY['red', 'blue'], '11111111-2222-3333-4444-555555555555', '\x00ff'),
    (2, '[1, "two", 3.5]', ARRAY['red', NULL], 'ffffffff-ffff-ffff-ffff-ffffffffffff', ''),
    (3, '"text"', ARRAY[]::text[], NULL, NULL), (4, 'null', NULL, '00000000-0000-0000-0000-000000000000', '\x616263'), (5, NULL, ARRAY['a b', 'c"d', ''], NULL, '\xdeadbeef');
CREATE TABLE et (a int, b text, c numeric(5,2), d date, e timestamp, f bool, g smallint, h bigint, i float8, j int[]);
INSERT INTO et VALUES (1, 'x', 1.5, '2024-01-01', '2024-01-01 10:00', true, 2, 3, 1.5, '{1,2}');
CREATE TABLE eu (a int, z text);
CREATE TABLE kv (k int PRIMARY KEY, n bigint, price numeric(8, 2), at timestamptz, tag varchar(5) DEFAULT 'none', CONSTRAINT kv_tag UNIQUE (tag, n), CHECK (n < 1000));
INSERT INTO kv SELECT m, m * 10, m / 4.0, TIMESTAMPTZ '2024-01-01 00:00:00+00' + m * INTERVAL '1 day', 't' || m % 3 FROM generate_series(1, 12) AS g(m);
