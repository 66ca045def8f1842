# The store copied with Debian's rsync while it is served, in the order that the README gives. Sourced by `run`.

# Pushes and pulls go on all the time. What was acknowledged before the copy was begun is in it, byte for byte; nothing has
# to be proven again, and nothing is wrong with it.
case_copied_while_served() {
  hosted_wharf
  local original=$WHARF digest tag blob manifest
  launch pushing push_on
  until_true more_than 10
  launch pulling pull_on
  cp "$WORK/acknowledged" "$WORK/before"

  copy_store "$WORK/store" "$WORK/copy"
  until_true more_than $(($(wc -l <"$WORK/before") + 5))
  stop pushing || true
  stop pulling || true
  sed "s@^path = .*@path = \"$WORK/copy\"@" "$WORK/wharf.toml" >"$WORK/copy.toml"
  "$WHARF_BINARY" restore --config "$WORK/copy.toml" --from "$WORK/index.copy"
  "$WHARF_BINARY" fsck --config "$WORK/copy.toml" >"$WORK/fsck" || fail "the copy is not in order: $(cat "$WORK/fsck")"
  if grep '^note: the blob' "$WORK/fsck"; then fail "times are not as they were"; fi

  stop wharf
  mv "$WORK/copy.toml" "$WORK/wharf.toml"
  WHARF=
  unset WHARF_SERVER__LISTEN
  wharf_up
  [[ $WHARF != "$original" ]] || echo "the same port, by chance"
  while read -r tag manifest blob; do
    equal "manifest $tag" "$(curl -sSf "http://$WHARF/v2/team/app/manifests/$tag" | digest_of /dev/stdin)" "$manifest"
    equal "blob of $tag" "$(curl -sSf "http://$WHARF/v2/team/app/blobs/$blob" | digest_of /dev/stdin)" "$blob"
  done <"$WORK/before"
}

# As the README says, but slowly: pushes come in between.
copy_store() { # STORE COPY
  sqlite3 "$1/index/index.sqlite3" "VACUUM INTO '$WORK/index.copy'"
  local rc=0
  rsync -a --bwlimit=2M --exclude={/index,/lock,/running,/wharf.sock,/fsck,/staging,/uploads,/trash} "$1/" "$2/" || rc=$?
  ((rc == 0 || rc == 24)) || fail "rsync: $rc" # 24: something went while it was copied
}

# Pushes small images for ever, and writes down each one that was acknowledged.
push_on() {
  local n
  for ((n = 1; ; n++)); do
    head -c 300000 /dev/urandom >"$WORK/blob"
    echo "{\"n\": $n}" >"$WORK/config"
    manifest_of "$WORK/config" "$WORK/blob" "$n" >"$WORK/manifest"
    upload "http://$WHARF/v2/team/app" "$WORK/blob" && upload "http://$WHARF/v2/team/app" "$WORK/config" &&
      curl -sSf -T "$WORK/manifest" -H "Content-Type: $OCI_MANIFEST" "http://$WHARF/v2/team/app/manifests/v$n" &&
      echo "v$n $(digest_of "$WORK/manifest") $(digest_of "$WORK/blob")" >>"$WORK/acknowledged"
  done
}

pull_on() {
  while sleep 0.05; do
    curl -sSf -o /dev/null "http://$WHARF/v2/team/app/blobs/$(shuf -n 1 "$WORK/acknowledged" | cut -d' ' -f3)"
  done
}

more_than() { (($(wc -l <"$WORK/acknowledged" 2>/dev/null || echo 0) > $1)); }
