# SPDX-License-Identifier: Apache-2.0
# A table in memory, an index, a third deleted.
quick=1
packages=(sqlite3=sqlite3)
work() {
  sqlite3 :memory: 'create table t(a integer primary key, b text, c real);' \
    'with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000) insert into t
       select i, printf("%d-%x", i * 7919 % 100003, i), i / 7.0 from n;' \
    'create index u on t(b);' 'select count(*), sum(length(b)), max(b) from t;' \
    'delete from t where a % 3 = 0;' 'select b, c from t order by b limit 1000;' \
    'vacuum;' 'pragma integrity_check;'
}
