-- A table, some rows, a change, and a look at the past.
CREATE TABLE visits (id bigint PRIMARY KEY, path text NOT NULL, seconds integer CHECK (seconds >= 0));
INSERT INTO visits VALUES (1, '/', 12), (2, '/docs', 95), (3, '/', 3), (4, '/pricing', NULL);
SELECT path, count(*) AS visits, sum(seconds) AS seconds FROM visits GROUP BY path ORDER BY visits DESC, path;

UPDATE visits SET seconds = 0 WHERE seconds IS NULL;
DELETE FROM visits WHERE path = '/pricing';
SELECT count(*) AS now FROM visits;
SELECT count(*) AS before FROM visits VERSION AS OF 1;

RESTORE TABLE visits TO VERSION AS OF 1;
SELECT count(*) AS restored FROM visits;
/* prints
path,visits,seconds
/,2,15
/docs,1,95
/pricing,1,
now
3
before
4
restored
4
*/
