# A disk that fails under a pull: strace makes the real calls fail. Clients get their bytes all the same, nothing is visible
# that is not proven and durable, and what failed is fetched again. Sourced by `run`.

# A sync of the blob's own file fails once, of a big blob in the middle, of another at the end: no later one is believed.
case_failed_write_back_in_mid_pull() { fails_in_mid_pull app staging once fetched 2; }
case_failed_sync_in_mid_pull() { fails_in_mid_pull tools staging once killed 2; }
# The file is durable and has its place, and its row may or may not be, which is for a start to find out: nothing more is
# written before. What was noted of the progress may be a little behind then.
case_failed_commit_in_mid_pull() { fails_in_mid_pull tools index.sqlite3-wal always stopped 1; }
case_failed_commit_before_a_crash() { fails_in_mid_pull tools index.sqlite3-wal always killed 1; }

fails_in_mid_pull() { # IMAGE WHOSE-FILE once|always fetched|killed|stopped TIMES-FETCHED
  slow_upstream "$1"
  curl -sSf -o "$WORK/blob" "$URL" &
  local client=$!
  until_true larger_than_file "$WORK/blob" $((SIZE / 16))
  local files
  mapfile -t files < <(find "$WORK/store" -type f -path "*/$2*")
  ((${#files[@]} == 1)) || fail "not one file of $2: ${files[*]}"
  broken fdatasync,fsync:error=EIO -P "${files[0]}"
  if [[ $3 == once ]]; then
    until_true has_failed
    mended
  fi
  wait "$client"
  is_whole "$WORK/blob"
  until_true grep -q 'cannot keep a blob' "$WORK/wharf.log"
  [[ $3 == once ]] || mended
  link_down
  nothing_visible
  case $4 in
    killed) stop wharf KILL || true ;;
    stopped) stop wharf ;;
  esac
  if [[ $4 != fetched ]]; then
    wharf_up
    whole_or_nothing
  fi
  link_mended
  curl -sSf -o "$WORK/blob" "$URL"
  is_whole "$WORK/blob"
  local sent
  sent=$(blob_sent "$DIGEST" new old)
  ((${sent#* } >= $5 * SIZE && ${sent#* } < $5 * SIZE + SIZE / 4)) || fail "the upstream sent $sent"
  is_cached
}

# A proven manifest is served although it cannot be kept; the next one is kept after a restart.
case_failed_commit_of_a_manifest() {
  slow_upstream app
  local url=${URL%/blobs/*}/manifests
  curl -sSf -o /dev/null "$url/1" # the index opens its journal with the first write
  local manifest=$FIXTURES/app.amd64.manifest digest
  digest=$(digest_of "$manifest")
  broken fdatasync,fsync:error=EIO -P "$WORK/store/index/index.sqlite3-wal"
  curl -sSf "$url/$digest" | cmp - "$manifest"
  mended
  link_down
  equal "status with the upstream gone" "$(status "$url/$digest")" 502
  equal "status of what was cached before" "$(status "$url/1")" 200
  stop wharf
  wharf_up
  link_up
  curl -sSf "$url/$digest" | cmp - "$manifest"
  link_down
  curl -sSf "$url/$digest" | cmp - "$manifest"
}

# A stored file that cannot be opened, or opens and cannot be read: with no upstream an error, and it stays where it is;
# otherwise it is fetched again and then as good as new.
case_unreadable_blob_is_fetched_again() {
  slow_upstream tools
  curl -sSf -o /dev/null "$URL"
  is_cached
  local file=$WORK/store/blobs/${DIGEST/://} fault inode sent=1 client
  for fault in openat:error=EACCES pread64,preadv2:error=EIO; do
    inode=$(stat -c %i "$file")
    link_down
    broken "$fault" -P "$file"
    equal "status with the upstream gone, $fault" "$(status "$URL")" 502
    equal "inode of the file that cannot be read" "$(stat -c %i "$file")" "$inode"
    link_mended
    rm "$WORK/blob"
    curl -sSf -o "$WORK/blob" "$URL" &
    client=$!
    until_true larger_than_file "$WORK/blob" $((1 << 20))
    mended # the new file will have the old one's path
    wait "$client"
    is_whole "$WORK/blob"
    sent=$((sent + 1))
    equal "what the upstream sent" "$(blob_sent "$DIGEST" new old)" "$sent $((sent * SIZE))"
    is_cached
    [[ $(stat -c %i "$file") != "$inode" ]] || fail "the file was not replaced"
  done
}

# --- the pull --------------------------------------------------------------------------------------------------------

# Sets URL, DIGEST and SIZE to the biggest blob of IMAGE, which takes some seconds to come.
slow_upstream() { # IMAGE
  upstreams_up
  read -r DIGEST SIZE < <(biggest_of "$1")
  LINK=127.0.0.1:$(free_port)
  case $1 in
    app) wharf_config "$LINK" && BEHIND=$NEW ;;
    tools) wharf_config 127.0.0.1:1 "$LINK" && BEHIND=$OLD ;;
  esac
  link_up
  wharf_up
  URL=http://$WHARF/v2/$(origin_of "$1")/blobs/$DIGEST
}

link_up() {
  : >"$WORK/link.log"
  tool_up link "$LINK" "$BEHIND" $((SIZE / ${TAKES:-4})) # in so many seconds
}

# A link that was found down is left alone until a probe finds it well. That a tag is not there is remembered: each time another.
link_mended() {
  link_up
  is_asked() { [[ $(status "${URL%/blobs/*}/manifests/$EPOCHREALTIME") == 404 ]]; }
  until_true is_asked
}

link_down() { [[ -z ${PID[link]:-} ]] || stop link || true; }

is_whole() { equal "digest of $1" "$(digest_of "$1")" "$DIGEST"; }

# A client asks for it in the background, and has more than so much of it.
client_has() { # BYTES
  launch client curl -sS -o "$WORK/blob" -w '%{http_code} %{size_download}' "$URL"
  until_true larger_than_file "$WORK/blob" "$1"
}

# That client gets one response, with all of it.
client_is_served() {
  wait "${PID[client]}" || fail "the client was cut: $(cat "$WORK/client.log")"
  equal "what the client got" "$(cat "$WORK/client.log")" "200 $SIZE"
  is_whole "$WORK/blob"
}

# With no upstream it is there or not, and nothing in between.
whole_or_nothing() {
  if [[ $(curl -sS -o "$WORK/blob" -w '%{http_code}' "$URL") == 200 ]]; then is_whole "$WORK/blob"; else nothing_visible; fi
}

# With no upstream nobody gets a byte of it, whichever of the two is blamed.
nothing_visible() {
  local how
  for how in --get -r0-9 --head; do
    [[ $(status "$how" "$URL") == 50[23] ]] || fail "status with $how: $(status "$how" "$URL")"
  done
}

is_cached() {
  hit() { curl -sS -r 0-0 -o /dev/null -w '%header{cache-status}' "$URL" | grep -qx 'wharf; hit'; }
  until_true hit
  link_down
  curl -sSf "$URL" >"$WORK/blob"
  is_whole "$WORK/blob"
}
