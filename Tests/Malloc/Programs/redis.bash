# SPDX-License-Identifier: Apache-2.0
# A server under redis-benchmark; then 100,000 keys of all types, a save by a child, and all of it read again.
packages=(redis-server=redis-server redis-tools=redis-benchmark)

prepare() {
  awk 'BEGIN { for (i = 0; i < 100000; i++) {
    printf "SET key:%d %0*d\n", i, 8 + i % 300, i
    if (i % 10 == 0) printf "HSET hash:%d field:%d value:%d\n", i % 1000, i, i
    if (i % 20 == 0) printf "RPUSH list:%d %0*d\n", i % 100, 20 + i % 50, i
    if (i % 30 == 0) printf "ZADD set:%d %d member:%d\n", i % 70, i, i
    if (i % 7 == 0) printf "APPEND key:%d %0*d\n", i / 2, i % 500, i
    if (i % 9 == 0) printf "DEL key:%d\n", i / 3 } }' >commands
}

# serve: a server here, at the socket in $socket.
serve() {
  socket=$PWD/socket
  redis-server --port 0 --unixsocket "$socket" --save '' --enable-debug-command yes --activedefrag no \
    --dir "$PWD" >server.txt 2>&1 &
  server=$!
  wait_for redis-cli -s "$socket" ping
}

# ask COMMAND ...: of the server.
ask() { redis-cli -s "$socket" "$@"; }

# is_saved: whether the child that saves is done.
is_saved() { [ "$(ask info persistence | tr -d '\r' | sed -n 's/^rdb_bgsave_in_progress://p')" = 0 ]; }

work() {
  rm -f dump.rdb
  serve
  redis-benchmark -s "$socket" -q -n 100000 -P 8 -r 10000 -d 200 -t set,get,incr,lpush,lpop,sadd,hset,spop,zadd,lrange_100 \
    >benchmark.txt
  ask flushall
  ask --pipe <commands | tail -1
  ask bgsave
  wait_for is_saved
  ask info persistence | tr -d '\r' | grep rdb_last_bgsave_status
  ask debug digest
  ask shutdown save
  wait "$server"
  serve
  ask dbsize
  ask debug digest
  ask shutdown nosave
  wait "$server"
}
