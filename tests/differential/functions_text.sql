-- Functions text.
-- differs: [id:23, r:25] 1 | APPLE / 10 | IT'S / 11 | 100% / 12 | UNDER_SCORE / 13 | TWO\nLINES / 14 | ZEBRA / 
SELECT id, upper(word) AS r FROM words;
SELECT id, lower(word) AS r FROM words;
SELECT id, length(word) AS r FROM words;
-- differs: [id:23, r:25] 1 | Apple / 10 | It'S / 11 | 100% / 12 | Under_Score / 13 | Two\nLines / 14 | Zebra / 
SELECT id, initcap(word) AS r FROM words;
SELECT id, reverse(word) AS r FROM words;
SELECT id, md5(word) AS r FROM words;
SELECT id, octet_length(word) AS r FROM words;
SELECT id, char_length(word) AS r FROM words;
SELECT id, bit_length(word) AS r FROM words;
SELECT id, ascii(word) AS r FROM words;
SELECT id, trim(word) AS r FROM words;
SELECT id, quote_literal(word) AS r FROM words;
SELECT id, left(word, 2), right(word, 2) FROM words;
SELECT id, left(word, -2), right(word, -2) FROM words;
-- differs: [id:23, substring:25, substring:25, substring:25] 1 | pple | pp | p / 10 | t's | t' | t / 11 | 00% |
SELECT id, substr(word, 2), substr(word, 2, 2), substring(word FROM 2 FOR 1) FROM words;
-- differs: [substring:25, substring:25] he | hello
SELECT substr('hello', -1, 4), substr('hello', 0);
SELECT substr('hello', 2, -1);
SELECT id, replace(word, 'p', 'PP') FROM words;
SELECT id, split_part(word, ' ', 1), split_part(word, 'p', 2) FROM words;
SELECT split_part('a,b,c', ',', -1);
SELECT split_part('a', ',', 0);
SELECT id, strpos(word, 'e'), position('a' IN word) FROM words;
SELECT id, lpad(word, 8, '*'), rpad(word, 3) FROM words;
SELECT repeat('ab', 3), repeat('x', 0), repeat('x', -1);
SELECT concat(1, NULL, 'a', true), concat_ws(',', 1, NULL, 'b');
SELECT id, word || '!' , word || id FROM words;
SELECT 'a' || 1, 1 || 'a', 'a' || NULL;
SELECT translate('12345', '143', 'ax'), chr(8364), ascii('€');
SELECT btrim('xyxtrimyyx', 'xyz'), ltrim('zzzytest', 'xyz'), rtrim('testxxzx', 'xyz');
SELECT overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4);
-- differs: error 0A000
SELECT starts_with('alphabet', 'alph'), 'alphabet' ^@ 'alph';
SELECT format('Hello %s, %2$s', 'a', 'b');
SELECT format('%I %L', 'Odd name', 'it''s');
SELECT to_hex(2147483647), to_hex(-1);
-- differs: error 42601
SELECT encode('abc'::bytea, 'base64'), decode('YWJj', 'base64'), encode('\x00ff'::bytea, 'escape');
SELECT regexp_replace('foobarbaz', 'b..', 'X'), regexp_replace('foobarbaz', 'b..', 'X', 'g'), regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g');
SELECT regexp_match('foobarbequebaz', '(bar)(beque)'), regexp_match('abc', 'x');
SELECT regexp_split_to_array('hello world now', '\s+');
SELECT id FROM words WHERE word LIKE '%p%';
SELECT id FROM words WHERE word ILIKE '%A%';
SELECT id FROM words WHERE word LIKE '_pple';
SELECT id FROM words WHERE word LIKE '100\%';
-- differs: error XX000
SELECT id FROM words WHERE word LIKE 'under!_%' ESCAPE '!';
SELECT id FROM words WHERE word NOT LIKE '%a%';
SELECT id FROM words WHERE word ~ '^[A-Z]';
SELECT id FROM words WHERE word ~* '^z';
SELECT id FROM words WHERE word !~ 'e';
SELECT id FROM words WHERE word SIMILAR TO '(apple|ZEBRA)';
SELECT word FROM words WHERE word > 'b' ORDER BY word;
SELECT word = 'apple', word <> 'apple', word < 'b' FROM words WHERE id < 6;
SELECT id FROM words WHERE word = '';
SELECT id FROM words WHERE word IN ('apple', NULL);
SELECT string_to_array('a,b,,c', ','), string_to_array('a,b', NULL), string_to_array('', ',');
SELECT array_to_string(ARRAY[1, NULL, 3], ',', '*'), array_to_string(ARRAY[1, NULL, 3], ',');
SELECT quote_ident('plain'), quote_ident('Mixed'), quote_nullable(NULL);
SELECT length(short), short || '|' FROM words WHERE id < 5;
-- differs: [varchar:1043, ?column?:25] abc | abc  |
SELECT cast('abcdefgh' AS varchar(3)), 'abc'::char(5) || '|';
SELECT to_char(1234.567, '9999.99'), to_char(-5, '999'), to_char(0.5, '0.00'), to_char(1234567, 'FM9,999,999');
SELECT coalesce(word, 'none'), nullif(word, 'apple') FROM words WHERE id IN (1, 5);
SELECT upper(5);
SELECT length(NULL);
SELECT lower(NULL::text);
-- differs: [unistr:25] d\0061t\+000061
SELECT unistr('d\0061t\+000061');
-- differs: error 42883
SELECT parse_ident('a."B"');
SELECT string_agg(word, ',' ORDER BY id) FROM words;
SELECT encode('\xdeadbeef'::bytea, 'hex'), decode('3q2+7w==', 'base64');
SELECT id FROM words WHERE word LIKE '10!0%' ESCAPE '!' OR word LIKE 'under\_%';
SELECT U&'\0041\00e9', chr(228), upper('straße'), initcap('élan vital');
