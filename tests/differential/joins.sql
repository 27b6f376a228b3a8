-- Joins.
SELECT c.name, o.id FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.total > 400 ORDER BY o.id;
SELECT c.id, count(o.id) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id ORDER BY c.id;
SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE c.id IS NULL ORDER BY o.id;
SELECT count(*) FROM customers c FULL JOIN orders o ON o.customer_id = c.id;
SELECT count(*) FROM customers c RIGHT JOIN orders o ON o.customer_id = c.id AND c.city = 'Oslo';
SELECT c.name, sum(i.quantity * i.price) AS revenue FROM customers c JOIN orders o ON o.customer_id = c.id JOIN items i ON i.order_id = o.id GROUP BY c.name ORDER BY revenue DESC, c.name LIMIT 5;
SELECT a.id, b.id FROM customers a JOIN customers b ON a.since + 11 = b.since WHERE a.id < 4 ORDER BY 1;
SELECT a.*, b.* FROM customers a JOIN customers b ON a.id = b.id WHERE a.id = 1;
SELECT count(*) FROM customers, orders WHERE customers.id = orders.customer_id;
SELECT * FROM (SELECT 1 AS k, 'l' AS l) a JOIN (SELECT 1 AS k, 'r' AS r) b USING (k);
SELECT * FROM (SELECT 1 AS k, 2 AS x) a NATURAL JOIN (SELECT 1 AS k, 3 AS y) b;
-- differs: [k:23] NULL / 1
SELECT k FROM (SELECT 1 AS k) a FULL JOIN (SELECT 2 AS k) b USING (k) ORDER BY k;
SELECT count(*) FROM customers CROSS JOIN (VALUES (1), (2)) v(x);
SELECT o.id, x.n FROM orders o, LATERAL (SELECT count(*) AS n FROM items i WHERE i.order_id = o.id) x WHERE o.id < 6 ORDER BY o.id;
-- differs: error 0A000
SELECT c.id, x.id FROM customers c LEFT JOIN LATERAL (SELECT o.id FROM orders o WHERE o.customer_id = c.id ORDER BY o.total DESC, o.id LIMIT 1) x ON true WHERE c.id < 8 ORDER BY c.id;
SELECT o.id FROM orders o JOIN customers c ON o.customer_id = c.id AND o.placed > c.since + 1100 ORDER BY o.id;
SELECT a.id FROM orders a WHERE a.total = (SELECT max(b.total) FROM orders b WHERE b.status = a.status) ORDER BY a.id;
SELECT customer_id FROM orders NATURAL JOIN (SELECT 5 AS id) x;
SELECT c.city, o.status, count(*) FROM customers c JOIN orders o ON c.id = o.customer_id GROUP BY 1, 2 ORDER BY 1 NULLS LAST, 2;
SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.total > 450) ORDER BY name;
SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id) ORDER BY name;
SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE status = 'new') ORDER BY id;
SELECT id FROM customers WHERE id NOT IN (SELECT customer_id FROM orders) ORDER BY id;
SELECT id FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE customer_id IS NOT NULL) ORDER BY id;
SELECT id, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) FROM customers c ORDER BY id;
SELECT id, (SELECT max(total) FROM orders o WHERE o.customer_id = c.id) FROM customers c ORDER BY id;
SELECT (SELECT name FROM customers);
-- differs: error 21000
SELECT id FROM orders WHERE total > ALL (SELECT price FROM items) ORDER BY id LIMIT 3;
-- differs: error 42601
SELECT id FROM customers WHERE (id, city) IN (SELECT 1 + customer_id, 'Paris' FROM orders) ORDER BY id;
WITH top AS (SELECT customer_id, sum(total) AS s FROM orders GROUP BY 1) SELECT c.name, t.s FROM top t JOIN customers c ON c.id = t.customer_id ORDER BY t.s DESC, c.name LIMIT 3;
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t;
WITH RECURSIVE t(n, s) AS (SELECT 1, 'x' UNION ALL SELECT n + 1, s || 'x' FROM t WHERE n < 4) SELECT * FROM t;
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS x FROM a) SELECT a.x, b.x FROM a, b;
SELECT x FROM (SELECT 1 AS x UNION SELECT 2 UNION ALL SELECT 2) s ORDER BY x;
SELECT status FROM orders EXCEPT SELECT 'new';
SELECT city FROM customers INTERSECT SELECT 'Oslo';
SELECT id FROM customers UNION SELECT id FROM orders ORDER BY id DESC LIMIT 2;
-- differs: [a:23] 1 / NULL
SELECT 1 AS a UNION SELECT 'x';
-- differs: [?column?:25] 1 / NULL
SELECT NULL UNION ALL SELECT 1;
SELECT id, status FROM orders WHERE id < 3 UNION ALL SELECT id, name FROM customers WHERE id < 3 ORDER BY 1, 2;
SELECT k, l, r FROM (VALUES (1, 'a'), (2, 'b')) a(k, l) RIGHT JOIN (VALUES (2, 'c'), (3, 'd')) b(k, r) USING (k) ORDER BY k;
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) a(k, l) FULL JOIN (VALUES (2, 'c'), (3, 'd')) b(k, r) USING (k) WHERE k > 1 ORDER BY k;
SELECT k, count(*) FROM (VALUES (1), (2)) a(k) FULL JOIN (VALUES (2), (3)) b(k) USING (k) GROUP BY k ORDER BY k;
SELECT 1 AS a UNION ALL SELECT 2.5 ORDER BY a DESC LIMIT 1;
