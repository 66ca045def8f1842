# The command line and the service by itself. Sourced by `run`.

# `wharf serve` with nothing at all: no file, no variable, no network.
case_serves_with_no_configuration() {
  mkdir "$WORK/empty"
  cd "$WORK/empty"
  # shellcheck disable=SC2016
  launch wharf unshare --net bash -c 'ip link set lo up; exec "$0" serve' "$WHARF_BINARY"
  await wharf 'listening on 127.0.0.1:5000'
  inside() { nsenter --net="/proc/${PID[wharf]}/ns/net" "$@"; }
  equal "ping" "$(inside curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:5000/v2/)" 200
  local code
  code=$(inside curl -sS -o "$WORK/answer" -w '%{http_code}' http://127.0.0.1:5000/v2/docker.io/library/alpine/manifests/1)
  [[ $code == 50[234] ]] || fail "an image that nobody can fetch is answered with $code"
  grep -q '"errors"' "$WORK/answer" || fail "$(cat "$WORK/answer")"
  [[ -d wharf-data ]] || fail "there is no ./wharf-data"
  stop wharf
}

case_config_check() {
  wharf_config 127.0.0.1:1 127.0.0.1:2
  "$WHARF_BINARY" config check --config "$WORK/wharf.toml" >"$WORK/effective"
  grep -q 'http://127.0.0.1:1' "$WORK/effective" || fail "$(cat "$WORK/effective")"
  "$WHARF_BINARY" config check --config "$CONFIG/wharf.example.toml" >/dev/null
  echo 'lisen = "127.0.0.1:0"' | sed '1i [server]' >"$WORK/wrong.toml"
  if "$WHARF_BINARY" config check --config "$WORK/wrong.toml" >"$WORK/said" 2>&1; then fail "an unknown key is accepted"; fi
  grep -q lisen "$WORK/said" && grep -q wrong.toml "$WORK/said" || fail "$(cat "$WORK/said")"
}

case_version() {
  "$WHARF_BINARY" --version | grep -qE '^wharf [0-9]+\.[0-9]+\.[0-9]+'
}
