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

# SIGHUP while a real client is in the middle of a pull: that mirror goes, another one comes, and a broken file changes nothing.
case_reload() {
  upstreams_up
  wharf_up
  local blob pull
  read -r blob _ < <(biggest_of app)
  curl -sS --limit-rate 60M -o "$WORK/blob" "http://$WHARF/v2/docker.io/library/app/blobs/$blob" &
  pull=$!
  begun() { [[ -s $WORK/blob ]]; }
  until_true begun
  sed -i '/^\[mirror."docker.io"\]$/a enabled = false' "$WORK/wharf.toml"
  printf '[mirror."new.example"]\nendpoints = ["http://%s"]\ndeny = ["library/app"]\n' "$NEW" >>"$WORK/wharf.toml"
  kill -HUP "${PID[wharf]}"
  await wharf 'has been read again'
  kill -0 "$pull" || fail "the pull was over too soon"
  equal "status of what is gone" "$(status "http://$WHARF/v2/docker.io/library/app/manifests/1")" 404
  equal "status of what is denied" "$(status "http://$WHARF/v2/new.example/library/app/manifests/1")" 403
  skopeo copy -q --src-tls-verify=false "docker://$WHARF/new.example/library/small:1" "dir:$WORK/small"
  wait "$pull"
  equal "digest of what was pulled meanwhile" "$(digest_of "$WORK/blob")" "$blob"

  echo 'nonsense = 1' >>"$WORK/wharf.toml"
  kill -HUP "${PID[wharf]}"
  await wharf 'stays as it was.*new.example.*nonsense: unknown key'
  equal "status of what is there" "$(status "http://$WHARF/v2/new.example/library/small/manifests/1")" 200
}

case_version() {
  "$WHARF_BINARY" --version | grep -qE '^wharf [0-9]+\.[0-9]+\.[0-9]+'
}
