-- Aggregates.
SELECT count(*) AS r FROM numbers WHERE id <= 101;
SELECT count(price) AS r FROM numbers WHERE id <= 101;
SELECT sum(small) AS r FROM numbers WHERE id <= 101;
SELECT sum(id) AS r FROM numbers WHERE id <= 101;
-- differs: [r:20] 5050
SELECT sum(big / 1000000007) AS r FROM numbers WHERE id <= 101;
SELECT sum(price) AS r FROM numbers WHERE id <= 101;
SELECT avg(id) AS r FROM numbers WHERE id <= 101;
SELECT avg(price) AS r FROM numbers WHERE id <= 101;
SELECT min(price) AS r FROM numbers WHERE id <= 101;
SELECT max(price) AS r FROM numbers WHERE id <= 101;
SELECT min(ratio) AS r FROM numbers WHERE id <= 101;
SELECT max(approx) AS r FROM numbers WHERE id <= 101;
SELECT bool_and(id > 0) AS r FROM numbers WHERE id <= 101;
SELECT bool_or(id > 99) AS r FROM numbers WHERE id <= 101;
SELECT count(DISTINCT small % 7) AS r FROM numbers WHERE id <= 101;
SELECT bit_or(small) AS r FROM numbers WHERE id <= 101;
SELECT min(small) AS r FROM numbers WHERE id <= 101;
SELECT max(big) AS r FROM numbers WHERE id <= 101;
SELECT id % 4 AS k, count(*) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
SELECT id % 4 AS k, count(price) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
SELECT id % 4 AS k, sum(small) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
SELECT id % 4 AS k, sum(id) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
-- differs: [k:23, r:20] 0 | 1300 / 1 | 1225 / 2 | 1250 / 3 | 1275
SELECT id % 4 AS k, sum(big / 1000000007) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
SELECT id % 4 AS k, sum(price) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
SELECT id % 4 AS k, avg(id) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
SELECT id % 4 AS k, avg(price) AS r FROM numbers WHERE id <= 100 GROUP BY id % 4 ORDER BY k;
SELECT status, count(*), sum(total), min(placed), max(placed) FROM orders GROUP BY status ORDER BY status;
SELECT city, count(*) FROM customers GROUP BY city ORDER BY city NULLS FIRST;
SELECT city FROM customers GROUP BY city HAVING count(*) > 6;
SELECT customer_id, sum(total) FROM orders GROUP BY customer_id ORDER BY 2 DESC, 1 LIMIT 5;
SELECT count(*) FILTER (WHERE status = 'paid'), sum(total) FILTER (WHERE total > 100) FROM orders;
-- differs: [string_agg:25] sent,paid,new
SELECT string_agg(DISTINCT status, ',') FROM orders;
SELECT array_agg(id ORDER BY id DESC) FROM orders WHERE id < 6;
SELECT string_agg(name, '; ' ORDER BY id) FROM customers WHERE id < 4;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total::float8) FROM orders;
-- differs: error 42883
SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY id) FROM orders;
-- differs: error 42883
SELECT mode() WITHIN GROUP (ORDER BY status) FROM orders WHERE id < 10;
-- differs: error 42883
SELECT round(stddev(id), 6), round(variance(id), 6), round(stddev_pop(id), 6) FROM orders;
-- differs: [round:1700, regr_count:1700] 0.081993 | 120
SELECT round(corr(id, total::float8)::numeric(20,10), 6), regr_count(id, total::float8) FROM orders;
-- differs: [status:25, odd:23, count:20] new | NULL | 40 / paid | NULL | 40 / sent | NULL | 40 / NULL | 0 | 55 
SELECT status, customer_id % 2 AS odd, count(*) FROM orders GROUP BY GROUPING SETS ((status), (customer_id % 2), ()) ORDER BY 1, 2, 3;
SELECT status, count(*), grouping(status) FROM orders GROUP BY ROLLUP (status) ORDER BY 1;
SELECT count(*) FROM (SELECT DISTINCT status, customer_id FROM orders) s;
SELECT sum(quantity * price) FROM items;
SELECT product, sum(quantity), avg(price) > 10 FROM items GROUP BY product ORDER BY product;
SELECT max(word), min(word) FROM words;
SELECT count(word), count(*), count(DISTINCT word) FROM words;
SELECT sum(total) / count(*) > 1 FROM orders;
SELECT sum(NULL::int), max(NULL::text), count(NULL);
SELECT every(flag), bool_or(flag) FROM words;
SELECT min(d), max(ts) FROM moments;
SELECT status, total FROM orders GROUP BY status;
SELECT avg(word) FROM words;
-- differs: error 42883
SELECT json_agg(id ORDER BY id) FROM customers WHERE id < 4;
-- differs: error 42883
SELECT jsonb_object_agg(id, name) FROM customers WHERE id < 3;
SELECT sum(interval_value) FROM (VALUES (INTERVAL '1 hour'), (INTERVAL '30 minutes')) v(interval_value);
SELECT avg(approx)::numeric(10,4) FROM numbers WHERE id < 50;
SELECT any_value FROM (SELECT 1 AS any_value) s;
SELECT count(*) FROM orders WHERE total > (SELECT avg(total) FROM orders);
-- differs: [m:23, count:20] 1 | 15 / 2 | 14 / 3 | 15 / 4 | 15 / 5 | 16 / 6 | 15 / 7 | 15 / 8 | 15
SELECT extract(month FROM placed) AS m, count(*) FROM orders GROUP BY m ORDER BY m;
SELECT status AS s, count(*) AS n FROM orders GROUP BY s HAVING count(*) > 10 ORDER BY n DESC, s;
SELECT sum(big) FROM (VALUES (9223372036854775807), (9223372036854775807)) v(big);
SELECT status, percentile_disc(0.5) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY customer_id) FROM orders GROUP BY status ORDER BY status;
SELECT percentile_disc(0.25) WITHIN GROUP (ORDER BY total DESC) FILTER (WHERE id < 50) FROM orders;
SELECT jsonb_agg(name ORDER BY id DESC), json_object_agg(name, id) FROM customers WHERE id < 3;
SELECT count(*), json_agg(id) FROM customers WHERE id < 0;
SELECT array_agg(DISTINCT status), stddev(total::float8) IS NULL FROM orders WHERE id < 2;
