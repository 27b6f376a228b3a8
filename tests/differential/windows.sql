-- Windows.
-- differs: [id:23, r:1700] 1 | 1 / 2 | 2 / 3 | 2 / 4 | 2 / 5 | 3 / 6 | 3 / 7 | 3 / 8 | 4 / 9 | 4 / 10 | 4 / 11 
SELECT id, row_number() OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
-- differs: [id:23, r:1700] 1 | 1 / 2 | 2 / 3 | 2 / 4 | 2 / 5 | 3 / 6 | 3 / 7 | 3 / 8 | 4 / 9 | 4 / 10 | 4 / 11 
SELECT id, rank() OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
-- differs: [id:23, r:1700] 1 | 1 / 2 | 2 / 3 | 2 / 4 | 2 / 5 | 3 / 6 | 3 / 7 | 3 / 8 | 4 / 9 | 4 / 10 | 4 / 11 
SELECT id, dense_rank() OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
SELECT id, sum(total) OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
SELECT id, count(*) OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
SELECT id, min(total) OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
SELECT id, lag(total) OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
SELECT id, lead(id, 2) OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
SELECT id, first_value(id) OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
-- differs: [id:23, r:1700] 1 | 1 / 2 | 1 / 3 | 1 / 4 | 1 / 5 | 2 / 6 | 2 / 7 | 2 / 8 | 2 / 9 | 2 / 10 | 2 / 11 
SELECT id, ntile(3) OVER (PARTITION BY status ORDER BY total, id) AS r FROM orders WHERE id <= 15 ORDER BY id;
SELECT id, sum(total) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS r FROM orders WHERE id <= 12 ORDER BY id;
SELECT id, sum(total) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS r FROM orders WHERE id <= 12 ORDER BY id;
SELECT id, sum(total) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS r FROM orders WHERE id <= 12 ORDER BY id;
SELECT id, sum(total) OVER (ORDER BY id RANGE BETWEEN 3 PRECEDING AND CURRENT ROW) AS r FROM orders WHERE id <= 12 ORDER BY id;
SELECT id, sum(total) OVER (ORDER BY id GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS r FROM orders WHERE id <= 12 ORDER BY id;
SELECT id, sum(total) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) AS r FROM orders WHERE id <= 12 ORDER BY id;
SELECT id, sum(total) OVER () AS r FROM orders WHERE id < 5 ORDER BY id;
-- differs: [id:23, r:701] 1 | 1 / 2 | 1.5 / 3 | 2 / 4 | 3 / 5 | 4 / 6 | 5 / 7 | 6
SELECT id, avg(id) OVER (ORDER BY id ROWS 2 PRECEDING) AS r FROM orders WHERE id < 8 ORDER BY id;
SELECT id, percent_rank() OVER (ORDER BY total), cume_dist() OVER (ORDER BY total) FROM orders WHERE id < 9 ORDER BY id;
-- differs: [status:25, sum:1700, rank:1700] new | 11030.00 | 1 / paid | 10070.00 | 2 / sent | 9550.00 | 3
SELECT status, sum(total), rank() OVER (ORDER BY sum(total) DESC) FROM orders GROUP BY status ORDER BY 1;
SELECT id, total - lag(total, 1, 0.0) OVER w AS diff FROM orders WHERE id < 6 WINDOW w AS (ORDER BY id) ORDER BY id;
-- differs: [id:23, n:1700] 9 | 1 / 11 | 1 / 12 | 1 / 13 | 1 / 22 | 1 / 25 | 1
SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY customer_id ORDER BY total DESC, id) AS n FROM orders) s WHERE n = 1 ORDER BY id LIMIT 6;
SELECT id, nth_value(id, 2) OVER (ORDER BY id) FROM orders WHERE id < 5 ORDER BY id;
SELECT id, last_value(id) OVER (ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM orders WHERE id < 4 ORDER BY id;
SELECT id, count(*) FILTER (WHERE status = 'new') OVER (ORDER BY id) FROM orders WHERE id < 9 ORDER BY id;
SELECT DISTINCT status, count(*) OVER (PARTITION BY status) FROM orders ORDER BY 1;
SELECT row_number() OVER (ORDER BY id) FROM orders WHERE row_number() OVER () < 3;
SELECT id, sum(id) OVER (w ORDER BY id) AS r FROM orders WHERE id < 8 WINDOW w AS (PARTITION BY status) ORDER BY id;
SELECT id, rank() OVER w AS r, max(id) OVER (w ROWS UNBOUNDED PRECEDING) AS m FROM orders WHERE id < 8 WINDOW w AS (PARTITION BY status ORDER BY id DESC) ORDER BY id;
SELECT id, stddev(id) OVER (ORDER BY id ROWS 2 PRECEDING) IS NULL AS r FROM orders WHERE id < 5 ORDER BY id;
SELECT id FROM orders WHERE id < 4 ORDER BY row_number() OVER (ORDER BY id DESC);
