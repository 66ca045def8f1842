# The ways to an upstream: real nginx before a real registry, real proxies, and a DNS that does not answer. Sourced by `run`.

# nginx ends TLS under the site's own authority, before each upstream; the second one demands a certificate.
case_tls_terminator() {
  upstreams_up
  certificates IP:127.0.0.1 nginx wharf
  nginx_up
  mirrors <<-EOF
	[mirror."docker.io"]
	endpoints = ["https://127.0.0.1:$OPEN"]
	ca_file = "$WORK/ca.crt"
	fresh_for = "1ms"
	[mirror."quay.io"]
	endpoints = ["https://127.0.0.1:$CLOSED"]
	ca_file = "$WORK/ca.crt"
	client_cert = "$WORK/wharf.crt"
	client_key = "$WORK/wharf.key"
	[mirror."nobody.example"]
	endpoints = ["https://127.0.0.1:$CLOSED"]
	ca_file = "$WORK/ca.crt"
	[mirror."doubting.example"]
	endpoints = ["https://127.0.0.1:$OPEN"]
	EOF
  wharf_up
  pulled_once
  equal "status without a certificate" "$(status "http://$WHARF/v2/nobody.example/org/tools/manifests/1")" 502
  equal "status without the authority" "$(status "http://$WHARF/v2/doubting.example/library/app/manifests/1")" 502
  # Another authority signs from now on: nginx has the certificate, and wharf hears of it by the file.
  certificates IP:127.0.0.1 nginx wharf
  stop nginx
  nginx_up
  asks_anew() { [[ $(status "http://$WHARF/v2/docker.io/library/app/manifests/nope") == 404 ]]; }
  until_true asks_anew
}

# No name of a registry resolves here, and nothing but the proxies leads to one.
case_corporate_proxy() {
  may_unshare || return 0
  upstreams_up
  certificates DNS:registry.site.example nginx
  nginx_up
  echo '127.0.0.1 registry.site.example old.site.example' >"$WORK/hosts"
  local http socks
  http=$(free_port)
  cat >"$WORK/tinyproxy.conf" <<-EOF
	Listen 127.0.0.1
	Port $http
	Timeout 60
	LogLevel Info
	BasicAuth site hunter2
	ConnectPort $OPEN
	EOF
  behind_hosts tinyproxy tinyproxy -d -c "$WORK/tinyproxy.conf"
  await tinyproxy 'Accepting connections'
  socks=$(free_port)
  behind_hosts socks microsocks -i 127.0.0.1 -p "$socks" -u site -P hunter2
  listens() { (exec 3<>"/dev/tcp/127.0.0.1/$socks") 2>/dev/null; }
  until_true listens
  mirrors <<-EOF
	[mirror."docker.io"]
	endpoints = ["https://registry.site.example:$OPEN"]
	ca_file = "$WORK/ca.crt"
	fresh_for = "1ms"
	[mirror."quay.io"]
	endpoints = ["http://old.site.example:${OLD#*:}"]
	proxy = "socks5h://site:hunter2@127.0.0.1:$socks"
	fresh_for = "1ms"
	[mirror."stranger.example"]
	endpoints = ["https://registry.site.example:$OPEN"]
	proxy = "http://site:swordfish@127.0.0.1:$http"
	[mirror."direct.example"]
	endpoints = ["https://registry.site.example:$OPEN"]
	proxy = "none"
	EOF
  HTTPS_PROXY=http://site:hunter2@127.0.0.1:$http wharf_up
  local image stranger direct
  pulled_once
  grep -q "CONNECT registry.site.example:$OPEN" "$WORK/tinyproxy.log" || fail "tinyproxy was not asked: $(cat "$WORK/tinyproxy.log")"
  stranger=$(curl -sS "http://$WHARF/v2/stranger.example/library/app/manifests/1")
  [[ $stranger == *"through the proxy 127.0.0.1:$http"*UNAVAILABLE* || $stranger == *UNAVAILABLE*"through the proxy 127.0.0.1:$http"* ]] ||
    fail "$stranger"
  direct=$(curl -sS "http://$WHARF/v2/direct.example/library/app/manifests/1")
  [[ $direct == *'does not resolve'* ]] || fail "$direct"
  nothing_secret
  # What is cached needs no proxy.
  stop tinyproxy || true
  stop socks || true
  for image in app tools; do skopeo_by_path "$image" "$WORK/$image.again"; done
}

# Registries whose names nobody answers for, more of them than tokio has threads for blocking work (512) and all asked at
# once, take nothing from what is cached.
case_dns_that_does_not_answer() {
  may_unshare || return 0
  upstreams_up
  local n blob hits
  wharf_config
  for n in {1..600}; do
    printf '[mirror."r%d.example"]\nendpoints = ["https://registry.r%d.example"]\nconnect = "5m"\n' "$n" "$n"
  done >>"$WORK/wharf.toml"
  echo 'nameserver 10.9.9.9' >"$WORK/resolv.conf"
  # The way to that server leads nowhere; the upstreams are on the host's loopback and are asked before.
  # shellcheck disable=SC2016
  network '
    ip route add 10.9.9.9/32 dev lo src 127.0.0.1
    mount --bind "$0" /etc/resolv.conf' "$WORK/resolv.conf"
  wharf_up
  read -r blob _ < <(biggest_of app)
  skopeo_by_path app "$WORK/app"
  stop wharf
  UNDER=("${INSIDE[@]}")
  wharf_up_inside
  for n in 1-300 301-600; do
    launch "asked-$n" "${UNDER[@]}" curl -sS -Z --parallel-immediate --parallel-max 300 -o /dev/null "http://$WHARF/v2/r[$n].example/a/b/manifests/1"
  done
  all_ask() { (($("${UNDER[@]}" ss -Htn state established dport = ":${WHARF#*:}" | wc -l) >= 600)); }
  until_true all_ask
  hits=$(for n in {1..20}; do
    # From the disk, for which wharf needs a thread that may block.
    find "$WORK/store" -type f -size +200M -exec dd if={} iflag=nocache count=0 status=none ';'
    "${UNDER[@]}" curl -sS -o /dev/null -w '%{http_code} %{time_total}\n' --max-time 10 -r "$((n * 12345678))-$((n * 12345678 + 65535))" \
      "http://$WHARF/v2/docker.io/library/app/blobs/$blob"
  done | awk '$1 != 206 || $2 > 0.5 { bad++ } END { print NR, bad + 0 }')
  equal "hits, and those that failed or took longer than half a second" "$hits" "20 0"
}

# --- the site --------------------------------------------------------------------------------------------------------

# A new authority, ca.crt, and a certificate of its for each NAME, with these subject alternative names.
certificates() { # ALTERNATIVES NAME…
  local name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=site -days 2 \
    -keyout "$WORK/ca.key" -out "$WORK/ca.new" 2>/dev/null
  for name in "${@:2}"; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -days 2 -CA "$WORK/ca.new" -CAkey "$WORK/ca.key" \
      -addext "subjectAltName=$1" -addext basicConstraints=critical,CA:FALSE -keyout "$WORK/$name.key" -out "$WORK/$name.crt" 2>/dev/null
  done
  mv "$WORK/ca.new" "$WORK/ca.crt"
}

# By skopeo, and each blob has left the upstreams once.
pulled_once() {
  local image
  for image in app tools; do
    skopeo_by_path "$image" "$WORK/$image"
    fetched_once "$FIXTURES/$image.amd64" "$FIXTURES/$image.arm64-only"
  done
}

# At OPEN before the new upstream; at CLOSED before the old one, for those with a certificate of the site's.
nginx_up() {
  OPEN=${OPEN:-$(free_port)} CLOSED=${CLOSED:-$(free_port)}
  nginx_with <<-EOF
	server {
	  listen 127.0.0.1:$OPEN ssl;
	  location / { proxy_pass http://$NEW; }
	}
	server {
	  listen 127.0.0.1:$CLOSED ssl;
	  ssl_client_certificate $WORK/ca.crt;
	  ssl_verify_client on;
	  location / { proxy_pass http://$OLD; }
	}
	EOF
}

# nginx with the site's certificate and the servers of its standard input.
nginx_with() {
  mkdir -p "$WORK/nginx"
  cat >"$WORK/nginx.conf" <<-EOF
	pid $WORK/nginx/pid;
	error_log stderr notice;
	user root; # the files are in a directory of ours alone
	events {}
	http {
	  access_log off;
	  client_body_temp_path $WORK/nginx/body;
	  proxy_temp_path $WORK/nginx/proxy;
	  fastcgi_temp_path $WORK/nginx/fastcgi;
	  uwsgi_temp_path $WORK/nginx/uwsgi;
	  scgi_temp_path $WORK/nginx/scgi;
	  ssl_certificate $WORK/nginx.crt;
	  ssl_certificate_key $WORK/nginx.key;
	  proxy_http_version 1.1;
	  proxy_buffering off;
	$(cat)
	}
	EOF
  launch nginx nginx -p "$WORK/nginx" -c "$WORK/nginx.conf" -g 'daemon off;'
  await nginx 'start worker process '
}

# Launches NAME: COMMAND… that finds the names of $WORK/hosts, which nobody else does.
behind_hosts() {
  # shellcheck disable=SC2016
  launch "$1" unshare --mount bash -euc 'mount --bind "$0" /etc/hosts; exec "$@"' "$WORK/hosts" "${@:2}"
}

# As `wharf_up`, with the ping from inside as well.
wharf_up_inside() {
  curl() { "${UNDER[@]}" curl "$@"; }
  wharf_up
}
