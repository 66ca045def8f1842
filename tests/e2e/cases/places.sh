# Blobs that come from elsewhere: from another endpoint, from a CDN, from another wharf. Sourced by `run`.

# The first of two registries is killed in the middle of a big blob: the second one sends what is missing, and no more.
case_endpoint_killed_in_mid_transfer() {
  two_registries
  read -r DIGEST SIZE < <(biggest_of app)
  LINK=127.0.0.1:$(free_port) BEHIND=$NEW
  link_up
  asks_in_turn "$LINK" "$SECOND"
  wharf_up
  URL=http://$WHARF/v2/docker.io/library/app/blobs/$DIGEST
  client_has $((SIZE / 8))
  equal "what the second had sent" "$(blob_sent "$DIGEST" second)" "0 0"
  stop new KILL || true
  client_is_served
  local times bytes
  has_sent() { [[ $(blob_sent "$DIGEST" second) != "0 0" ]]; }
  until_true has_sent # logged when the answer has ended
  read -r times bytes < <(blob_sent "$DIGEST" second)
  ((times == 1 && bytes > 0 && bytes <= SIZE - SIZE / 8)) || fail "the second sent $bytes bytes in $times answers"
  stop second || true
  is_cached
}

# The only registry is restarted in the middle of a blob, and wharf is refused in between: the client sees one response.
case_registry_restarts_in_mid_transfer() {
  RUST_LOG=wharf=debug slow_upstream tools
  client_has $((SIZE / 16))
  link_down
  stop old KILL || true
  until_true grep -q 'resuming a broken body.*it is left alone' "$WORK/wharf.log"
  : >"$WORK/old.log"
  registry_up old docker-registry "$OLD" "$FIXTURES/old"
  link_up
  client_is_served
  is_cached
}

# The first endpoint is not there when wharf starts, and nobody notices; the second one gives every blob once.
case_first_endpoint_is_dead() {
  two_registries
  stop new KILL || true
  asks_in_turn "$NEW" "$SECOND"
  wharf_up
  skopeo_by_path small "$WORK/small"
  crane_by_path small "$WORK/small.again"
  local digest size
  while read -r digest size; do
    equal "what the second sent of $digest" "$(blob_sent "$digest" second)" "1 $size"
  done <"$FIXTURES/small.amd64"
}

# The registry is behind nginx, which ends TLS, and its blobs are at another nginx, by URLs that are good for two seconds at
# most. The connection is reset when that is over: the rest comes by a new URL.
case_redirecting_cdn() {
  NEW=127.0.0.1:$(free_port) LINK=127.0.0.1:$(free_port) FRONT=127.0.0.1:$(free_port)
  registry_up new registry "$NEW" "$FIXTURES/new"
  tool_up signer "$NEW" "https://$LINK" hunter2 2
  certificates IP:127.0.0.1 nginx
  front_and_cdn
  read -r DIGEST SIZE < <(biggest_of small)
  TAKES=8 link_up
  mirrors <<-EOF
	[mirror."docker.io"]
	endpoints = ["https://$FRONT"]
	ca_file = "$WORK/ca.crt"
	EOF
  RUST_LOG=wharf=debug wharf_up
  URL=http://$WHARF/v2/docker.io/library/small/blobs/$DIGEST
  client_has $((SIZE / 16))
  equal "URLs until then" "$(grep -c GET "$WORK/signer.log")" 1
  SIGNED=$(curl -sSf --head --cacert "$WORK/ca.crt" -o /dev/null -w '%{redirect_url}' "https://$FRONT/v2/library/small/blobs/$DIGEST")
  equal "status of a good URL" "$(of_signed)" 206
  until_true has_expired # and so has wharf's, which is older
  kill -HUP "${PID[link]}"
  client_is_served
  equal "URLs in all" "$(grep -c GET "$WORK/signer.log")" 2
  skopeo_by_path small "$WORK/small"
  equal "blobs from the registry itself" "$(grep -c '"GET /v2/[^ ]*/blobs/' "$WORK/new.log")" 0
  if grep -q signature "$WORK/wharf.log"; then fail "a signed URL is in the log"; fi
}

# A site's wharf behind a region's: twenty clients on a cold blob are one download on either hop, and every image is by the
# same name at both.
case_chained_wharfs() {
  slow_upstream tools
  local region=$WHARF site n clients=()
  mirrors site site <<-EOF
	[mirror."quay.io"]
	endpoints = ["http://$region"]
	send_ns = "quay.io"
	EOF
  launch site "$WHARF_BINARY" serve --config "$WORK/site.toml"
  await site 'listening on 127.0.0.1:'
  site=$(address_of site)
  URL=${URL/$region/$site}
  for n in {1..20}; do
    curl -sSf -o "$WORK/blob.$n" "$URL" &
    clients+=($!)
  done
  for n in "${clients[@]}"; do wait "$n"; done
  for n in {1..20}; do is_whole "$WORK/blob.$n"; done
  equal "what the origin sent" "$(blob_sent "$DIGEST" old)" "1 $SIZE"
  asked() { grep -c "method=GET .*reference=\"$DIGEST\" mirror=\"quay.io\".*$1" "$WORK/$2.log"; }
  all_told() { (($(asked '' site) == 20 && $(asked '' wharf) > 0)); } # a request is logged when its response has ended
  until_true all_told
  equal "what the site asked for" "$(asked '' wharf)" 1
  equal "clients in line" "$(asked 'fwd=uri-miss; stored; collapsed' site)" 19
  WHARF=$site skopeo_by_path tools "$WORK/tools"
  curl -sSf "http://$site/v2/org/tools/manifests/1?ns=quay.io" | cmp - "$FIXTURES/tools.index"
  fetched_once "$FIXTURES/tools.amd64" "$FIXTURES/tools.arm64-only"
  # The region is gone: what the site has, it has.
  stop wharf || true
  WHARF=$site skopeo_by_path tools "$WORK/tools.again"
}

# --- the places ------------------------------------------------------------------------------------------------------

# Distribution twice, over what `new` holds: NEW and SECOND.
two_registries() {
  NEW=127.0.0.1:$(free_port) SECOND=127.0.0.1:$(free_port)
  registry_up new registry "$NEW" "$FIXTURES/new"
  registry_up second registry "$SECOND" "$FIXTURES/new"
}

# docker.io is at FIRST and, where that does not answer, at SECOND.
asks_in_turn() { # FIRST SECOND
  mirrors <<-EOF
	[mirror."docker.io"]
	endpoints = ["http://$1", "http://$2"]
	EOF
}

# nginx at FRONT before the signer, and behind the link as the CDN, over the registry's own files.
front_and_cdn() {
  local cdn
  cdn=127.0.0.1:$(free_port)
  BEHIND=$cdn
  nginx_with <<-EOF
	server {
	  listen $FRONT ssl;
	  location / { proxy_pass http://$(address_of signer); }
	}
	server {
	  listen $cdn ssl;
	  location ~ "^/(([0-9a-f]{2})[0-9a-f]{62})\$" {
	    secure_link \$arg_signature,\$arg_expires;
	    secure_link_md5 "\$secure_link_expires\$uri hunter2";
	    if (\$secure_link != 1) { return 403; }
	    alias $FIXTURES/new/docker/registry/v2/blobs/sha256/\$2/\$1/data;
	  }
	}
	EOF
}

of_signed() { status -r 0-0 --cacert "$WORK/ca.crt" "$SIGNED"; }
has_expired() { [[ $(of_signed) == 403 ]]; }
