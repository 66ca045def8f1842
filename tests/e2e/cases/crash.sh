# Ends of the process: killed, asked to end, started twice. Sourced by `run`.

# kill -9 twice in the middle of a real pull: nothing half-fetched is served, and what was fetched is not fetched again.
case_killed_in_mid_pull() {
  upstreams_up
  local round client
  tool_up link 127.0.0.1:0 "$NEW" 60000000
  wharf_config "$(address_of link)"
  wharf_up
  for round in 1 2; do
    skopeo_by_path app "$WORK/pull$round" >"$WORK/pull.log" 2>&1 &
    client=$!
    until_true larger_than "$WORK/pull$round" $((round * 80 << 20))
    stop wharf KILL || true
    if wait "$client"; then fail "the client of a killed wharf believes that it pulled"; fi
    wharf_up
  done
  skopeo_by_path app "$WORK/pulled"
  local digest size sent
  read -r digest size < <(biggest_of app)
  read -r _ sent < <(blob_sent "$digest" new)
  # Lost at each kill: what was under way, and the pieces since the progress was last written down.
  ((sent <= size * 5 / 4)) || fail "the upstream sent $sent bytes of a blob of $size"
  upstreams_down
  skopeo_by_path app "$WORK/again"
}

larger_than() { [[ -d $1 ]] && (($(du -sb "$1" | cut -f1) > $2)); }

# SIGTERM lets a running stream end, takes no new connection and exits with 0.
case_drains_on_sigterm() {
  upstreams_up
  wharf_up
  local digest size client pid=${PID[wharf]}
  skopeo_by_path app "$WORK/warm"
  read -r digest size < <(biggest_of app)
  curl -sSf --limit-rate 64M -o "$WORK/blob" "http://$WHARF/v2/docker.io/library/app/blobs/$digest" &
  client=$!
  until_true larger_than_file "$WORK/blob" $((16 << 20))
  kill -TERM "$pid"
  refuses() { ! curl -s -o /dev/null "http://$WHARF/v2/"; }
  until_true refuses
  kill -0 "$pid" || fail "wharf ended while a client was reading"
  wait "$client"
  equal "digest of what the client read" "$(digest_of "$WORK/blob")" "$digest"
  local rc=0
  wait "$pid" || rc=$?
  unset 'PID[wharf]'
  equal "exit code" "$rc" 0
}

larger_than_file() { [[ -f $1 ]] && (($(stat -c %s "$1") > $2)); }

# A second process on the same store is refused and told who holds it.
case_one_process_per_store() {
  upstreams_up
  wharf_up
  if WHARF_SERVER__LISTEN=127.0.0.1:0 timeout 20 "$WHARF_BINARY" serve --config "$WORK/wharf.toml" >"$WORK/second" 2>&1; then
    fail "a second process started on the same store"
  fi
  grep -q "${PID[wharf]}" "$WORK/second" || fail "the message does not name the holder: $(cat "$WORK/second")"
  equal "status of the first" "$(status "http://$WHARF/v2/")" 200
}

# A restart with every upstream gone: what was cached is served.
case_starts_without_upstreams() {
  upstreams_up
  wharf_up
  crane_by_path app "$WORK/cold"
  upstreams_down
  stop wharf
  wharf_up
  crane_by_path app "$WORK/again"
}
