# What an operator does beside a running wharf: pins, and frees what nobody can reach. Sourced by `run`.

operator() { "$WHARF_BINARY" "$@" --config "$WORK/wharf.toml"; }

to_dir() { skopeo copy -q --src-tls-verify=false "docker://$WHARF/$1" "dir:$WORK/${2:-pulled}"; }

# A pinned image stays while twice the budget goes through, and is served without its upstream.
case_pins() {
  upstreams_up
  local flood n
  flood=127.0.0.1:$(free_port)
  registry_up flood registry "$flood" "$WORK/flood"
  for n in 1 2 3 4; do
    mkdir -p "$WORK/layer$n"
    head -c 8M /dev/urandom >"$WORK/layer$n/file"
    layer "$WORK/layer$n"
    image "$flood/org/flood" "$n" --oci-empty-base "$WORK/layer$n.tar.gz"
  done
  wharf_config "$NEW" "$flood"
  sed -i '/^path = /a max_size = "16MiB"\nmin_free = "0"' "$WORK/wharf.toml"
  wharf_up
  equal "the socket" "$(stat -c '%a %F' "$WORK/store/wharf.sock")" '600 socket'
  to_dir docker.io/library/small:1 small
  operator pin add 'docker.io/small:*' >"$WORK/added"
  grep -qE '^docker.io/small:\* by command: [1-9][0-9]* blobs, [1-9]' "$WORK/added" || fail "$(cat "$WORK/added")"
  for n in 1 2 3 4; do to_dir "quay.io/org/flood:$n"; done
  upstreams_down
  to_dir docker.io/library/small:1 again
  diff -r "$WORK/small" "$WORK/again"
  equal "the list" "$(operator pin list)" "$(cat "$WORK/added")"
  operator pin remove 'docker.io/small:*'
  equal "the list" "$(operator pin list)" ''
  stop wharf
  [[ ! -e $WORK/store/wharf.sock ]] || fail "the socket is left"
  if operator pin list >"$WORK/said" 2>&1; then fail "nobody serves"; fi
  grep -q 'no wharf serves' "$WORK/said" || fail "$(cat "$WORK/said")"
}

# A dry run names what the run frees, beside a running wharf and without one.
case_gc() {
  wharf_config 127.0.0.1:1 127.0.0.1:2
  wharf_up
  local running digest files
  files() { find "$WORK/store/blobs" -type f -printf '%f\n' | sort; }
  for running in yes no; do
    skopeo copy -q --all --dest-tls-verify=false "oci:$FIXTURES/small.oci:1" "docker://$WHARF/team/small:1"
    # The index, and then its images.
    for digest in "sha256:$(sha256sum <"$FIXTURES/small.index" | cut -d' ' -f1)" $(jq -r '.manifests[].digest' "$FIXTURES/small.index"); do
      equal "status of the deletion" "$(status -X DELETE "http://$WHARF/v2/team/small/manifests/$digest")" 202
    done
    [[ $running == yes ]] || stop wharf
    operator gc --dry-run --grace 0s >"$WORK/foretold"
    files | sed 's/^/sha256:/' | diff - <(sed '$d; s/ .*//' "$WORK/foretold" | sort) || fail "running: $running"
    operator gc --grace 0s >"$WORK/freed"
    diff <(sed 's/ would be freed$//' "$WORK/foretold" | sort) <(sed 's/ freed$//' "$WORK/freed" | sort) || fail "running: $running"
    equal "files" "$(files)" ''
  done
}
