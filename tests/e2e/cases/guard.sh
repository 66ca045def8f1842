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
  from_nothing
  equal "status of $mirror/$name" "$(pull "$mirror" "$name")" 502
  said=$(jq -r '.errors[0] | "\(.code) \(.message)"' "$WORK/answer")
  [[ $said == "UNAVAILABLE ${UPSTREAM[$mirror]} "*"$3"* ]] || fail "$mirror/$name: $said"
  equal "dialled for $mirror/$name" "$(dialled | grep -v "${UPSTREAM[$mirror]}" | xargs)" ""
}

followed() { # MIRROR NAME TARGET
  from_nothing
  equal "status of $1/$2" "$(pull "$1" "$2")" 200
  equal "digest of $1/$2" "$(digest_of "$WORK/answer")" "$DIGEST"
  dialled | grep -qx "$3" || fail "$1/$2 did not come from $3"
}

# Each starts with an empty store and no connections: what came by one redirect must not answer for the next.
from_nothing() {
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
  network '
    for address in 1.2.3.4 5.6.7.8 10.1.2.3 169.254.169.254; do ip address add "$address/32" dev lo; done
    echo "10.1.2.3 inside.example" >"$0"
    mount --bind "$0" /etc/hosts' "$WORK/hosts"
  UNDER=("${INSIDE[@]}")
  curl() { "${UNDER[@]}" curl "$@"; }
  certificates IP:1.2.3.4,IP:5.6.7.8 guide
  export SSL_CERT_FILE=$WORK/ca.crt # which wharf trusts, and nobody else
  launch guide "${UNDER[@]}" "$ROOT/guide" "$WORK/guide.crt" "$WORK/guide.key" {1.2.3.4,5.6.7.8,10.1.2.3,127.0.0.1,169.254.169.254,[::1]}:80 \
    {1.2.3.4,5.6.7.8}:443 {loopback=http://127.0.0.1,loopback6=http://[::1],mapped=http://[::ffff:127.0.0.1]} \
    {metadata=http://169.254.169.254,ten=http://10.1.2.3,inside.example=http://inside.example} \
    {downgrade=http://5.6.7.8,elsewhere=http://5.6.7.8,elsewhere-secure=https://5.6.7.8}
  await guide ready
  DIGEST=$(grep -oP '^digest \K.*' "$WORK/guide.log")
  declare -gA UPSTREAM=([public]=1.2.3.4 [secure]=1.2.3.4 [private]=10.1.2.3)
  mirrors <<-EOF
	[mirror."public.example"]
	endpoints = ["http://1.2.3.4"]
	[mirror."secure.example"]
	endpoints = ["https://1.2.3.4"]
	[mirror."private.example"]
	endpoints = ["http://10.1.2.3"]
	EOF
}

# A network of its own with no more than a loopback, made ready by SCRIPT; INSIDE leads into it.
network() { # SCRIPT ITS-ARGUMENT
  launch network unshare --net --mount bash -euc "ip link set lo up; $1; echo made; exec sleep infinity" "$2"
  await network made
  INSIDE=(nsenter "--net=/proc/${PID[network]}/ns/net" "--mount=/proc/${PID[network]}/ns/mnt")
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
