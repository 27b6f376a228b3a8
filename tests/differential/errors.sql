-- Errors: the same SQLSTATE, and the same place where the error is about a name.
select bb from et;
select et.bb from et;
select x.a from et;
select nope(1);
select lower(1, 2);
-- differs: [count:20] 1
select count(1, 2);
select sum('x'::text);
select sum(b) from et;
select abs('x'::text);
select a from et, eu;
select a, b from et group by a;
select a, count(*) from et;
select sum(count(*)) from et;
select a from et where count(*) > 1;
select count(*) from et having a > 1;
select a from et group by count(*);
select 1 from et where a = 'abc';
select 1 from et where b = 1;
select 1 from et where f = 1;
select 1 from et where d = 1;
select 1 from et where d > 'nodate';
select 1 from et where 1;
select 1 from et where a;
select 1 from et where b;
select not 1;
select a and f from et;
select a + b from et;
select b + 1 from et;
select b || a from et;
select a || a from et;
select -b from et;
select f + 1 from et;
select d + d from et;
select d * 2 from et;
select e + 1 from et;
select e + e from et;
select 1 + true;
-- differs: [case:23] 2
select case when 1 then 2 end;
-- differs: [case:23] 1
select case when true then 1 else 'x' end;
select case when true then 1 else true end;
select coalesce(1, 'x');
-- differs: error 42883
select coalesce(1, true);
select greatest(1, 'x');
-- differs: [?column?:23] 1 / NULL
select 1 union select 'x';
select 1 union select true;
select 1, 2 union select 1;
select 1 union all select now();
select 1 from et limit -1;
select 1 from et offset -1;
-- differs: error 42601
select 1 from et limit 'x';
-- differs: error 42703 at 24
select 1 from et limit a;
select a from et order by 2;
select a from et order by 0;
select a from et group by 3;
select distinct a from et order by b;
-- differs: error 42703
select a from et order by zz;
select 1/0;
select 1.0/0;
select 1::float8/0;
select 1%0;
select a/0 from et;
select 2147483647 + 1;
select 32767::int2 + 1::int2;
select 9223372036854775807 + 1;
select 9223372036854775808::int8;
select 3000000000::int4;
select 70000::int2;
select 'abc'::int;
select '1.5'::int;
select ''::int;
select 'x'::bool;
select 'x'::float8;
select 'x'::numeric;
select 12345.678::numeric(5,2);
select '99999999999999999999'::int8;
select 'x'::uuid;
select 'x'::json;
select '2024-13-01'::date;
select '2024-02-30'::date;
select 'x'::date;
select '25:00'::time;
select 'x'::timestamp;
select '2024-01-01 99:00'::timestamp;
select 'x'::interval;
select '{1,2'::int[];
select '{a}'::int[];
select '\xzz'::bytea;
select 1::date;
select now()::int;
select true::date;
select 1.5::bool;
select '2024-01-01'::date::int;
select 1 where 1 in (select 1, 2);
select (select 1, 2);
select (select a from et union all select 1);
select (select 1 union all select 2);
select 1 = (select 1, 2);
select * from nope;
select * from nope.et;
select * from et, et;
select * from et a, eu a;
select * from et x join eu y on x.a = y.q;
select * from et join eu using (q);
select * from et join eu on a = a;
with w as (select 1), w as (select 2) select * from w;
with w(a,b) as (select 1) select * from w;
select * from (select 1) as s(a,b);
select * from (values (1,2),(3)) v;
-- differs: error 42846
select * from generate_series(1, 'x');
select * from nofunc(1);
select nofunc(*);
-- differs: error XX000
select a.b.c.d.e from et;
select 'x'::nope;
select cast(1 as nope);
select ln(0);
select ln(-1);
select sqrt(-1);
select power(0, -1);
-- differs: [power:701] NaN
select power(-1, 0.5);
-- differs: [log:701] -Infinity
select log(0);
-- differs: [exp:701] Infinity
select exp(10000);
select factorial(-1);
-- differs: [chr:25] 
select chr(0);
select chr(-1);
select substring('x', 1, -1);
select split_part('a', 'b', 0);
select to_date('x', 'YYYY-MM-DD');
select to_timestamp('x', 'YYYY');
select to_number('x', '999');
select date_trunc('nope', now());
select extract(nope from now());
select date_part('nope', now());
select make_date(2024, 13, 1);
select make_time(25, 0, 0);
-- differs: error 22007
select age('x');
select regexp_replace('a', '(', 'b');
select 'a' ~ '(';
select 'a' similar to '(';
select 'a' like 'a\';
select array[1, 'x'];
select array[1, true];
-- differs: [array:1007] {{1,2},{3}}
select array[[1,2],[3]];
select j[1] + 'x' from et;
select a[1] from et;
-- differs: error 42883
select array_append(array[1], 'x');
select unnest(1);
-- differs: error 42883
select row_number();
select row_number() over (order by zz) from et;
select rank() over () filter (where true) from et;
-- differs: [sum:20] 1
select sum(a) over (w) from et;
select sum(a) over (rows between 1 following and 1 preceding) from et;
select a from et where row_number() over () = 1;
-- differs: error 42703
select a from et group by rollup(zz);
-- differs: error 42883
select nextval('s');
select current_setting('nope.x');
select set_config('nope', '1', false);
select 1 +;
-- differs: error 42P01 at 13
select from where;
select 1 as select;
select * from et where;
select a from et order;
insert into et (zz) values (1);
insert into et (a, a) values (1, 2);
insert into et (a) values (1, 2);
insert into et (a, b) values (1);
insert into et (a) values ('x');
insert into et (a) values (true);
insert into et (d) values (5);
insert into et (a) select 'x';
insert into et (a) select b from et;
insert into nope values (1);
insert into et (g) values (70000);
insert into et (c) values (12345.678);
update et set zz = 1;
update et set a = 'x';
update et set a = true;
update et set a = 1, a = 2;
update et set a = b;
update nope set a = 1;
update et set a = 1 where zz = 1;
delete from et where zz = 1;
delete from nope;
drop table nope;
drop view et;
drop schema nope;
values (1, 2), (3);
-- differs: error 42601
select 1 from et fetch first -1 rows only;
-- differs: [array:1007] {1}
select array[1,2][1:2:3];
select interval 'x';
select timestamp 'x';
select date '2024-02-30';
select b::int from et;
select a::bool::date from et;
select i::int from (select 1e300::float8 as i) s;
select 1e300::float8::int;
select 'NaN'::float8::int;
-- differs: [?column?:701] 1e+300
select 1e300;
-- differs: [?column?:701] -1e+300
select -1e300;
select -1e300::float8;
select 12345678901234567890123456789012345678901234567890;
select to_char(1, 5);
select position(1 in 'x');
select 5 in ('x');
select 5 in (1, 'x');
select 5 between 'a' and 'b';
select a from et where a in ('x', 'y');
-- differs: error 22P02
select a from et where b in (1, 2);
select a from et where a like 'x';
select 1 like 'x';
select a is true from et;
select b is true from et;
select avg(b) from et;
-- differs: [max:16] t
select max(f) from et;
select bool_and(a) from et;
-- differs: [string_agg:25] 1
select string_agg(a, ',') from et;
-- differs: error 0A000
select count(distinct a, b) from et;
select percentile_cont(2) within group (order by a) from et;
select grouping(b) from et group by a;
execute nope;
deallocate nope;
select $1;
select lag(a) from et;
select (1, 2) = (1, 2, 3);
select coalesce(a, 'x') from et;
select count(*) from et group by zz;
select 'a' like 'b' escape 'cd';
select decode('a', 'base64');
select make_date(0, 1, 1);
select factorial(-1);
select sum(big) from (values ('a')) v(big);
