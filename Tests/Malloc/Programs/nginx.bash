# SPDX-License-Identifier: Apache-2.0
# A server with two workers, compression and a proxy to itself, under ab.
packages=(nginx-light=/usr/sbin/nginx apache2-utils=ab python3=python3)

prepare() {
  mkdir -p root logs
  seq 1 20000 >root/large.txt
  seq 1 100 >root/small.txt
}

work() {
  local port server
  port=$(free_port)
  cat >nginx.conf <<END
daemon off;
worker_processes 2;
pid $PWD/nginx.pid;
error_log $PWD/logs/error.log warn;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path $PWD/body; proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/fastcgi;
  uwsgi_temp_path $PWD/uwsgi; scgi_temp_path $PWD/scgi;
  gzip on; gzip_types text/plain; gzip_min_length 1;
  server {
    listen 127.0.0.1:$port;
    root $PWD/root;
    location /again/ { proxy_pass http://127.0.0.1:$port/; }
  }
}
END
  chmod 755 . root
  /usr/sbin/nginx -p "$PWD" -c "$PWD/nginx.conf" &
  server=$!
  wait_for bash -c "</dev/tcp/127.0.0.1/$port"
  local path
  for path in small.txt large.txt again/small.txt again/large.txt; do
    ab -q -l -s 120 -n 3000 -c 20 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/$path" >ab.txt
    grep -E '^(Complete|Failed) requests|^Non-2xx' ab.txt
  done
  kill -QUIT "$server"
  wait "$server"
  # What a worker has to say is an error.
  cat logs/error.log
}
