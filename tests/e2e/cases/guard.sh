# P9: where an upstream may point to, judged by the addresses that are really dialled: in a network of the test's own, where an
# upstream can be at a public address. Sourced by `run`.

case_redirects_of_a_public_upstream() {
  may_unshare || return 0
  own_network
  local name
  for name in loopback loopback6 mapped metadata ten; do refused public "$name" 'a public upstream may not point there'; done
  # A name is judged by what it resolves to.
  refused public inside.example 'a public upstream may not point there'
  refused secure downgrade 'a redirect from https to http'
  followed public elsewhere 5.6.7.8:80
  followed secure elsewhere-secure 5.6.7.8:443
}

case_redirects_of_a_private_upstream() {
  may_unshare || return 0
  own_network
  followed private ten 10.1.2.3:80
  followed private loopback 127.0.0.1:80
}

# The client hears who pointed where and why that is not followed, and nobody was dialled but the upstream itself.
refused() { # MIRROR NAME WHY
  local mirror=$1 name=$2 said
  begin
  equal "status of $mirror/$name" "$(pull "$mirror" "$name")" 502
  said=$(jq -r '.errors[0] | "\(.code) \(.message)"' "$WORK/answer")
  [[ $said == "UNAVAILABLE ${UPSTREAM[$mirror]} "*"$3"* ]] || fail "$mirror/$name: $said"
  equal "dialled for $mirror/$name" "$(dialled | grep -v "${UPSTREAM[$mirror]}" | xargs)" ""
}

followed() { # MIRROR NAME TARGET
  begin
  equal "status of $1/$2" "$(pull "$1" "$2")" 200
  equal "digest of $1/$2" "sha256:$(sha256sum <"$WORK/answer" | cut -d' ' -f1)" "$DIGEST"
  dialled | grep -qx "$3" || fail "$1/$2 did not come from $3"
}

# Each starts with an empty store and no connections: what came by one redirect must not answer for the next.
begin() {
  if [[ -n ${PID[wharf]:-} ]]; then stop wharf; fi
  rm -rf "$WORK/store"
  wharf_up
  SEEN=$(wc -l <"$WORK/guide.log")
}

pull() { curl -sS -o "$WORK/answer" -w '%{http_code}' "http://$WHARF/v2/$1.example/$2/blobs/$DIGEST"; }
dialled() { tail -n "+$((SEEN + 1))" "$WORK/guide.log" | sed -n 's/^dialled //p'; }

# A network with public and private addresses, all of them this machine's and the guide's, and wharf's mirrors in it.
own_network() {
  # shellcheck disable=SC2016
  launch network unshare --net --mount bash -euc '
    ip link set lo up
    for address in 1.2.3.4 5.6.7.8 10.1.2.3 169.254.169.254; do ip address add "$address/32" dev lo; done
    echo "10.1.2.3 inside.example" >"$0"
    mount --bind "$0" /etc/hosts
    echo made
    exec sleep infinity' "$WORK/hosts"
  await network made
  UNDER=(nsenter "--net=/proc/${PID[network]}/ns/net" "--mount=/proc/${PID[network]}/ns/mnt")
  curl() { "${UNDER[@]}" curl "$@"; }
  certificate 1.2.3.4 5.6.7.8
  launch guide "${UNDER[@]}" "$ROOT/guide" "$WORK/crt" "$WORK/key" {1.2.3.4,5.6.7.8,10.1.2.3,127.0.0.1,169.254.169.254,[::1]}:80 \
    {1.2.3.4,5.6.7.8}:443 {loopback=http://127.0.0.1,loopback6=http://[::1],mapped=http://[::ffff:127.0.0.1]} \
    {metadata=http://169.254.169.254,ten=http://10.1.2.3,inside.example=http://inside.example} \
    {downgrade=http://5.6.7.8,elsewhere=http://5.6.7.8,elsewhere-secure=https://5.6.7.8}
  await guide ready
  DIGEST=$(grep -oP '^digest \K.*' "$WORK/guide.log")
  declare -gA UPSTREAM=([public]=1.2.3.4 [secure]=1.2.3.4 [private]=10.1.2.3)
  cat >"$WORK/wharf.toml" <<-EOF
	[server]
	listen = "127.0.0.1:0"
	[store]
	path = "$WORK/store"
	[mirror."public.example"]
	endpoints = ["http://1.2.3.4"]
	[mirror."secure.example"]
	endpoints = ["https://1.2.3.4"]
	[mirror."private.example"]
	endpoints = ["http://10.1.2.3"]
	EOF
}

# Where it is not allowed these cases show nothing, and say so; with every right it must be allowed.
may_unshare() {
  unshare --net --mount true 2>"$WORK/unshare.log" && return
  local rights
  rights=$(sed -n 's/^CapEff:\s*//p' /proc/self/status)
  ((EUID != 0 || (0x$rights >> 21 & 1) == 0)) || fail "root with CAP_SYS_ADMIN cannot make a namespace: $(cat "$WORK/unshare.log")"
  echo "not shown: no network namespace can be made here: $(cat "$WORK/unshare.log")"
  return 1
}

# For these addresses, and an authority that wharf and nobody else trusts.
certificate() {
  local names
  names=$(printf ',IP:%s' "$@")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=e2e-authority -days 2 \
    -keyout "$WORK/ca.key" -out "$WORK/ca.crt" 2>/dev/null
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=e2e -days 2 -CA "$WORK/ca.crt" -CAkey "$WORK/ca.key" \
    -addext "subjectAltName=${names#,}" -addext basicConstraints=critical,CA:FALSE -keyout "$WORK/key" -out "$WORK/crt" 2>/dev/null
  export SSL_CERT_FILE=$WORK/ca.crt
}
