-- A shop with three years of orders: customers, products, orders and their items, made with SQL alone.
-- Deterministic: the same number of customers (:customers, 50000 in the demo) always gives the same rows.
-- It may be stopped anywhere and run again: what is there stays, the rest is made.
-- Skewed as real data is: few products sell most, few customers order most, and some values are missing.

CREATE TABLE IF NOT EXISTS customers (
    customer_id bigint PRIMARY KEY,
    name text NOT NULL,
    email text,
    country text NOT NULL,
    segment text NOT NULL,
    joined_on date NOT NULL
) CLUSTER BY (customer_id);

INSERT INTO customers
SELECT
    n,
    (array['Ada', 'Ben', 'Chloe', 'Dev', 'Elif', 'Femi', 'Grace', 'Hugo', 'Ines', 'Jun', 'Kofi', 'Lena'])[1 + (n * 7919 % 12)]
        || ' ' || (array['Alvarez', 'Brown', 'Chen', 'Diallo', 'Evans', 'Fischer', 'Garcia', 'Haddad', 'Ito', 'Jansen', 'Kaur'])[1 + (n * 104729 % 11)],
    CASE WHEN n % 17 = 0 THEN NULL ELSE 'customer' || n || '@example.com' END,
    (array['US', 'US', 'US', 'DE', 'DE', 'GB', 'FR', 'IN', 'JP', 'BR'])[1 + (n * 7919 / 12 % 10)],
    CASE WHEN n % 20 = 0 THEN 'business' WHEN n % 5 = 0 THEN 'premium' ELSE 'standard' END,
    DATE '2022-01-01' + CAST(n * 48271 % 1095 AS integer)
FROM generate_series(1::bigint, :customers) AS s(n)
WHERE (SELECT count(*) FROM customers) = 0;

CREATE TABLE IF NOT EXISTS products (
    product_id bigint PRIMARY KEY,
    name text NOT NULL,
    category text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price > 0),
    weight_grams integer
);

INSERT INTO products
SELECT
    n,
    (array['Compact', 'Classic', 'Nordic', 'Pocket', 'Studio'])[1 + (n * 13 % 5)]
        || ' ' || (array['lamp', 'kettle', 'desk', 'rucksack', 'chair', 'radio', 'bottle', 'blanket'])[1 + (n * 29 % 8)] || ' ' || n,
    (array['home', 'kitchen', 'office', 'outdoor'])[1 + (n * 17 % 4)],
    CAST(4.99 + (n * 7907 % 19900) / 100.0 AS numeric(10, 2)),
    CASE WHEN n % 11 = 0 THEN NULL ELSE CAST(100 + n * 271 % 9000 AS integer) END
FROM generate_series(1::bigint, 1000) AS s(n)
WHERE (SELECT count(*) FROM products) = 0;

CREATE TABLE IF NOT EXISTS orders (
    order_id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    ordered_at timestamptz NOT NULL,
    status text NOT NULL,
    coupon text
) CLUSTER BY (ordered_at);

INSERT INTO orders
SELECT
    n,
    -- The square of an even spread: low numbers, the loyal customers, come often.
    1 + CAST(floor(:customers * power((n * 7368787 % 1000003) / 1000003.0::double precision, 2)) AS bigint),
    TIMESTAMPTZ '2023-01-01 00:00:00+00' + (n * 1000003 % 94608000) * INTERVAL '1 second',
    CASE WHEN n % 50 = 0 THEN 'cancelled' WHEN n % 9 = 0 THEN 'shipped' WHEN n % 23 = 0 THEN 'open' ELSE 'delivered' END,
    CASE WHEN n % 6 = 0 THEN (array['SPRING', 'WELCOME', 'LOYAL'])[1 + (n / 6 * 37 % 3)] END
FROM generate_series(1::bigint, :customers * 8) AS s(n)
WHERE (SELECT count(*) FROM orders) = 0;

CREATE TABLE IF NOT EXISTS order_items (
    order_id bigint NOT NULL,
    line bigint NOT NULL,
    product_id bigint NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    unit_price numeric(10, 2) NOT NULL,
    returned_at timestamptz
) CLUSTER BY (order_id);

INSERT INTO order_items
SELECT
    i.order_id,
    i.line,
    i.product_id,
    i.quantity,
    p.price,
    CASE WHEN (i.order_id * 7 + i.line) % (20 + i.product_id % 60) = 0 THEN o.ordered_at + INTERVAL '9 days' END
FROM (
    SELECT
        n AS order_id,
        line,
        1 + CAST(floor(1000 * power(((n * 31 + line * 17) * 40503 % 65537) / 65537.0::double precision, 3)) AS bigint) AS product_id,
        CAST(1 + (n * 13 + line) % 4 AS integer) AS quantity
    FROM generate_series(1::bigint, :customers * 8) AS s(n), generate_series(1::bigint, 3) AS l(line)
    WHERE line <= 1 + n % 3 AND (SELECT count(*) FROM order_items) = 0
) AS i
JOIN products p ON p.product_id = i.product_id
JOIN orders o ON o.order_id = i.order_id;
