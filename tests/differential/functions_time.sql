-- Functions time.
-- differs: error XX000
SELECT id, date_trunc('microseconds', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('second', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('minute', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('hour', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('day', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('week', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('month', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('quarter', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, date_trunc('year', ts) AS r FROM moments WHERE id IN (1, 15, 42);
-- differs: error XX000
SELECT id, date_trunc('decade', ts) AS r FROM moments WHERE id IN (1, 15, 42);
-- differs: error XX000
SELECT id, date_trunc('century', ts) AS r FROM moments WHERE id IN (1, 15, 42);
SELECT id, extract(second FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
SELECT id, extract(milliseconds FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 14 / 15 | 14 / 42 | 59 / 43 | 0
SELECT id, extract(minute FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 2 / 15 | 16 / 42 | 23 / 43 | 0
SELECT id, extract(hour FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 22 / 15 | 13 / 42 | 31 / 43 | 31
SELECT id, extract(day FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 3 / 15 | 3 / 42 | 3 / 43 | 5
SELECT id, extract(dow FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
SELECT id, extract(isodow FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 326 / 15 | 347 / 42 | 365 / 43 | 365
SELECT id, extract(doy FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 47 / 15 | 50 / 42 | 1 / 43 | 52
SELECT id, extract(week FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 11 / 15 | 12 / 42 | 12 / 43 | 12
SELECT id, extract(month FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 4 / 15 | 4 / 42 | 4 / 43 | 4
SELECT id, extract(quarter FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23] 1 | 2023 / 15 | 2023 / 42 | 1969 / 43 | 9999
SELECT id, extract(year FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
SELECT id, extract(isoyear FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
SELECT id, extract(decade FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
SELECT id, extract(century FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
SELECT id, extract(epoch FROM ts) AS r FROM moments WHERE id IN (1, 15, 42, 43);
-- differs: [id:23, r:23, date_part:23] 2 | 26 | 26 / 30 | 18 | 18 / 42 | 31 | 31
SELECT id, extract(day FROM d) AS r, date_part('day', d) FROM moments WHERE id IN (2, 30, 42);
-- differs: [id:23, r:23, date_part:23] 2 | 0 | 0 / 30 | 0 | 0 / 42 | 3 | 3
SELECT id, extract(dow FROM d) AS r, date_part('dow', d) FROM moments WHERE id IN (2, 30, 42);
-- differs: [id:23, r:23, date_part:23] 2 | 330 | 330 / 30 | 49 | 49 / 42 | 365 | 365
SELECT id, extract(doy FROM d) AS r, date_part('doy', d) FROM moments WHERE id IN (2, 30, 42);
-- differs: [id:23, r:23, date_part:23] 2 | 47 | 47 / 30 | 7 | 7 / 42 | 1 | 1
SELECT id, extract(week FROM d) AS r, date_part('week', d) FROM moments WHERE id IN (2, 30, 42);
-- differs: [id:23, r:23, date_part:23] 2 | 11 | 11 / 30 | 2 | 2 / 42 | 12 | 12
SELECT id, extract(month FROM d) AS r, date_part('month', d) FROM moments WHERE id IN (2, 30, 42);
-- differs: [id:23, r:23, date_part:23] 2 | 4 | 4 / 30 | 1 | 1 / 42 | 4 | 4
SELECT id, extract(quarter FROM d) AS r, date_part('quarter', d) FROM moments WHERE id IN (2, 30, 42);
-- differs: [id:23, r:23, date_part:23] 2 | 2023 | 2023 / 30 | 2024 | 2024 / 42 | 1969 | 1969
SELECT id, extract(year FROM d) AS r, date_part('year', d) FROM moments WHERE id IN (2, 30, 42);
-- differs: [id:23, r:1700, date_part:1700] 2 | 1700956800.000000 | 1700956800.000000 / 30 | 1708214400.000000 |
SELECT id, extract(epoch FROM d) AS r, date_part('epoch', d) FROM moments WHERE id IN (2, 30, 42);
SELECT * FROM moments WHERE id < 4 OR id > 40;
SELECT id, d + 1, d - 1, d + 7 FROM moments WHERE id < 3;
SELECT id, d - DATE '2023-11-20' FROM moments WHERE id IN (1, 42);
SELECT id, d + INTERVAL '1 month', d - INTERVAL '1 year' FROM moments WHERE id IN (4, 20);
SELECT id, ts + INTERVAL '1 day 02:03:04', ts - INTERVAL '1 month' FROM moments WHERE id IN (4, 20);
SELECT id, tz + INTERVAL '1 day', tz - INTERVAL '36 hours' FROM moments WHERE id IN (4, 20);
SELECT ts - TIMESTAMP '2023-11-20 00:00' FROM moments WHERE id IN (1, 9);
SELECT tz - TIMESTAMPTZ '2023-11-20 00:00+00' FROM moments WHERE id IN (1, 9);
SELECT id, ts::date, tz::date, d::timestamp, ts::timestamptz, tz::timestamp FROM moments WHERE id IN (3, 42);
SELECT id, tz AT TIME ZONE 'America/New_York', ts AT TIME ZONE 'Asia/Kolkata' FROM moments WHERE id IN (3, 22);
SELECT id FROM moments WHERE d > '2024-02-01' ORDER BY id;
SELECT id FROM moments WHERE ts BETWEEN '2023-12-01' AND '2023-12-10' ORDER BY id;
SELECT id FROM moments WHERE tz < '2023-12-20 00:00:00+00' ORDER BY id;
SELECT min(d), max(d), min(ts), max(tz) FROM moments;
SELECT date_trunc('month', d)::date AS m, count(*) FROM moments WHERE d > '2000-01-01' GROUP BY 1 ORDER BY 1;
SELECT to_char(ts, 'YYYY-MM-DD HH24:MI:SS.MS'), to_char(ts, 'Day, DD Month YYYY'), to_char(ts, 'IYYY-IW HH12 AM') FROM moments WHERE id IN (1, 10);
SELECT to_char(d, 'Dy DDD Q J') FROM moments WHERE id IN (1, 10);
SELECT to_date('2024-03-05', 'YYYY-MM-DD'), to_date('5 Mar 2024', 'DD Mon YYYY');
SELECT to_timestamp('2024-03-05 10:11:12', 'YYYY-MM-DD HH24:MI:SS');
SELECT to_timestamp(1700000000.5);
SELECT make_date(2024, 2, 29), make_timestamp(2024, 2, 29, 1, 2, 3.5);
-- differs: error 22007
SELECT make_date(2023, 2, 29);
SELECT age(TIMESTAMP '2024-05-01', TIMESTAMP '2021-02-28'), age(TIMESTAMP '2021-02-28', TIMESTAMP '2024-05-01');
SELECT INTERVAL '1 year 2 mons 3 days 04:05:06.789', INTERVAL '-1 day', INTERVAL '00:00:01';
SELECT INTERVAL '1 day' * 2.5, INTERVAL '1 month' / 2, INTERVAL '1 day' - INTERVAL '1 hour';
-- differs: [extract:23, extract:1700] 40 | 2678400.000000
SELECT extract(day FROM INTERVAL '40 days 5 hours'), extract(epoch FROM INTERVAL '1 month 1 day');
SELECT justify_days(INTERVAL '35 days'), justify_hours(INTERVAL '27 hours'), justify_interval(INTERVAL '1 mon -1 hour');
-- differs: [?column?:1082, ?column?:1082] 2024-02-29 | 2024-02-29
SELECT DATE '2024-01-31' + INTERVAL '1 month', DATE '2024-03-31' - INTERVAL '1 month';
SELECT TIMESTAMP '2024-03-10 12:00' - INTERVAL '10 days 12 hours';
SELECT DATE '2024-02-30';
SELECT '2024-01-01 24:00:01'::timestamp;
SELECT 'garbage'::timestamptz;
SELECT TIMESTAMP '2024-01-01 10:00' = TIMESTAMPTZ '2024-01-01 10:00+00';
SELECT DATE '2024-01-01' = TIMESTAMP '2024-01-01 00:00';
SELECT date_bin('1 hour', ts, TIMESTAMP '2023-01-01') FROM moments WHERE id = 5;
-- differs: error 42601
SELECT generate_series(DATE '2024-01-01', DATE '2024-01-03', '1 day');
SELECT d FROM generate_series(TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-02', '8 hours') AS g(d);
SELECT TIMESTAMPTZ '2024-03-31 01:30:00 Europe/Berlin';
SELECT TIMESTAMPTZ 'epoch', DATE 'epoch';
-- differs: error 22007
SELECT TIMESTAMP 'infinity' > TIMESTAMP '2024-01-01';
SELECT pg_typeof(ts - ts), pg_typeof(d - d), pg_typeof(d + 1), pg_typeof(d + INTERVAL '1 day') FROM moments WHERE id = 1;
SELECT extract(timezone FROM TIMESTAMPTZ '2024-01-01 00:00+00');
SELECT clock_timestamp() >= now(), current_date = now()::date;
SELECT id FROM moments WHERE d < DATE '2023-12-10' - INTERVAL '3 days 5 hours' ORDER BY id;
SELECT count(*) FROM moments WHERE d BETWEEN DATE '2023-11-26' AND DATE '2023-11-26' + INTERVAL '1 month';
SELECT count(*) FROM moments WHERE d >= TIMESTAMP '2023-12-20 12:00:00' AND TIMESTAMP '2024-01-22' >= d;
SELECT count(*) FILTER (WHERE d = TIMESTAMP '2023-11-26'), count(*) FILTER (WHERE d <> TIMESTAMP '2023-11-26 01:00') FROM moments;
SELECT extract(year FROM d) AS y, date_part('month', ts) AS m, count(*) FROM moments GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 5;
SELECT date_trunc('millennium', ts), date_trunc('week', ts), date_trunc('quarter', tz) FROM moments WHERE id = 15;
SELECT date_trunc('day', tz, 'America/New_York'), date_trunc('hour', INTERVAL '3 days 04:05:06') FROM moments WHERE id = 15;
SELECT INTERVAL '1 month' > INTERVAL '29 days', INTERVAL '1 day' = INTERVAL '24 hours';
