-- Readings of sensors: a day a partition, moving averages, gaps between readings.
CREATE TABLE readings (sensor text NOT NULL, at timestamp NOT NULL, value double precision, day date NOT NULL)
    PARTITIONED BY (day) CLUSTER BY (sensor, at);
INSERT INTO readings
SELECT 'sensor ' || s, TIMESTAMP '2024-05-01 00:00' + n * INTERVAL '6 hours', s * 10 + n % 3, (TIMESTAMP '2024-05-01 00:00' + n * INTERVAL '6 hours')::date
FROM generate_series(1, 2) AS a(s), generate_series(0, 7) AS b(n)
WHERE NOT (s = 2 AND n IN (3, 4));

SELECT day, sensor, count(*) AS readings, avg(value) AS average FROM readings GROUP BY day, sensor ORDER BY day, sensor;

SELECT sensor, at, value, avg(value) OVER (PARTITION BY sensor ORDER BY at ROWS 2 PRECEDING) AS moving_average
FROM readings WHERE day = '2024-05-02' ORDER BY sensor, at;

SELECT sensor, gap FROM (
    SELECT sensor, at - lag(at) OVER (PARTITION BY sensor ORDER BY at) AS gap FROM readings
) AS gaps WHERE gap > INTERVAL '6 hours';
/* prints
day,sensor,readings,average
2024-05-01,sensor 1,4,10.75
2024-05-01,sensor 2,3,21
2024-05-02,sensor 1,4,11
2024-05-02,sensor 2,3,21
sensor,at,value,moving_average
sensor 1,2024-05-02 00:00:00,11,11
sensor 1,2024-05-02 06:00:00,12,11.5
sensor 1,2024-05-02 12:00:00,10,11
sensor 1,2024-05-02 18:00:00,11,11
sensor 2,2024-05-02 06:00:00,22,22
sensor 2,2024-05-02 12:00:00,20,21
sensor 2,2024-05-02 18:00:00,21,21
sensor,gap
sensor 2,18:00:00
*/
