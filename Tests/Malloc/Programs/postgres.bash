# SPDX-License-Identifier: Apache-2.0
# pgbench with a certain number of transactions; what must come to the same sums.
packages=(postgresql-15=/usr/lib/postgresql/15/bin/postgres python3=python3)
binaries=/usr/lib/postgresql/15/bin

# as_user COMMAND ...: becomes the command, of another user: the server refuses to be root. The allocator of the
# environment stays.
as_user() { exec setpriv --reuid postgres --regid postgres --clear-groups "$@"; }

prepare() {
  chmod 755 .
  mkdir -p data
  chown postgres data .
  (as_user "$binaries/initdb" -D "$PWD/data" -A trust -E UTF8 --locale=C >/dev/null)
}

work() {
  local port server
  port=$(free_port)
  as_user "$binaries/postgres" -D "$PWD/data" -k "$PWD" -p "$port" -c listen_addresses=127.0.0.1 -c fsync=off \
    >server.txt 2>&1 &
  server=$!
  local client=(-h 127.0.0.1 -p "$port" -U postgres)
  wait_for "$binaries/pg_isready" "${client[@]}"
  "$binaries/dropdb" "${client[@]}" --if-exists bench 2>dropdb.txt
  "$binaries/createdb" "${client[@]}" bench
  "$binaries/pgbench" "${client[@]}" -i -q -s 3 bench >init.txt 2>&1
  "$binaries/pgbench" "${client[@]}" -c 8 -j 2 -t 400 bench >pgbench.txt 2>&1
  "$binaries/pgbench" "${client[@]}" -c 4 -j 2 -t 1000 -n -S bench >>pgbench.txt 2>&1
  "$binaries/psql" "${client[@]}" -At bench <<'END'
select count(*) from pgbench_history;
select sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts;
select sum(tbalance) = (select sum(bbalance) from pgbench_branches) from pgbench_tellers;
select md5(string_agg(aid::text || filler, ',' order by aid)) from pgbench_accounts;
select count(*) from (select bid, array_agg(aid order by aid desc) from pgbench_accounts group by bid) s;
END
  # It waits for its clients, of which there is none any more.
  kill -TERM "$server"
  wait "$server"
}
