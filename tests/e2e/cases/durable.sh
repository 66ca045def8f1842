# P8: what is acknowledged is on the disk before the answer is on the wire, and a disk that fails or is full never becomes a
# lie. strace watches the real calls, or makes them fail. Sourced by `run`.

# For each kind of change, one at a time: file, directory and index are synced, in this order, before the answer is sent.
case_synced_before_acknowledged() {
  UNDER=(strace -D -f -yy -qq -o "$WORK/trace" -e 'trace=fdatasync,fsync,rename,pwrite64,pwritev,write,writev,sendto,sendmsg')
  hosted_wharf
  local url=http://$WHARF/v2/team/app location digest
  blob_of 3 "$WORK/blob" "$WORK/other"
  digest=$(digest_of "$WORK/blob")

  begin
  upload "$url" "$WORK/blob"
  file_and_facts 201 "$digest"
  begin
  location=$(session "$url")
  curl -sSf -X PATCH --data-binary "@$WORK/other" -o /dev/null "http://$WHARF$location"
  curl -sSf -X PUT "http://$WHARF$location?digest=$(digest_of "$WORK/other")"
  file_and_facts 201 "$(digest_of "$WORK/other")"
  echo '{}' >"$WORK/config"
  begin
  curl -sSf -X POST --data-binary "@$WORK/config" -o /dev/null "$url/blobs/uploads/?digest=$(digest_of "$WORK/config")"
  file_and_facts 201 "$(digest_of "$WORK/config")"

  manifest_of "$WORK/config" "$WORK/blob" >"$WORK/manifest"
  facts 201 -T "$WORK/manifest" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/1"
  facts 201 -X POST "http://$WHARF/v2/team/other/blobs/uploads/?mount=$digest&from=team/app"
  manifest_of "$WORK/config" "$WORK/other" >"$WORK/moved"
  facts 201 -T "$WORK/moved" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/1"
  facts 202 -X DELETE "$url/manifests/1"
  facts 202 -X DELETE "$url/manifests/$(digest_of "$WORK/manifest")"
  facts 202 -X DELETE "$url/blobs/$digest"
}

# A store that is made anew, with the directories above it: each is in its parent for good before wharf is ready.
case_new_store_is_durable() {
  UNDER=(strace -D -f -yy -qq -o "$WORK/trace" -e trace=mkdir,fsync)
  wharf_config 127.0.0.1:1 127.0.0.1:1
  sed -i "s@^path = .*@path = \"$WORK/some/where/store\"@" "$WORK/wharf.toml"
  wharf_up
  local made parent
  while read -r made; do
    parent=$(dirname "$made")
    synced() { sed "1,/mkdir(\"${made//\//\\/}\"/d" "$WORK/trace" | grep -q "fsync([0-9]*<$parent>"; }
    until_true synced
  done < <(grep -oP 'mkdir\("\K[^"]+(?=".* = 0$)' "$WORK/trace")
  until_true grep -q "fsync([0-9]*<$WORK>" "$WORK/trace"
}

# Every sync fails: of the file, then of its directory and of the index where the file's has worked. No 201, nothing visible
# in spite of what was written, and the same push works as soon as the disk does, after a restart where it was the index's.
case_failed_sync() {
  hosted_wharf
  local url=http://$WHARF/v2/team/app call
  echo '{}' >"$WORK/config"
  upload "$url" "$WORK/config"
  for call in fdatasync fsync rename; do
    blob_of 2 "$WORK/blob"
    manifest_of "$WORK/config" "$WORK/config" "$call" >"$WORK/manifest"
    broken "$call:error=EIO"
    server_error "$(try_upload "$url" "$WORK/blob")"
    mended
    equal "status of a blob whose push failed at $call" "$(status --head "$url/blobs/$(digest_of "$WORK/blob")")" 404
    stop wharf KILL || true
    wharf_up
    equal "status after a restart" "$(status --head "$url/blobs/$(digest_of "$WORK/blob")")" 404
    upload "$url" "$WORK/blob"
    curl -sSf "$url/blobs/$(digest_of "$WORK/blob")" | cmp - "$WORK/blob"
  done
  broken fsync:error=EIO # SQLite's call
  server_error "$(status -T "$WORK/manifest" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/1")"
  equal "status of a manifest whose push failed" "$(status "$url/manifests/1")" 404
  mended
  equal "status before a restart" "$(status -T "$WORK/manifest" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/1")" 503
  curl -sSf "$url/blobs/$(digest_of "$WORK/blob")" | cmp - "$WORK/blob"
  stop wharf
  wharf_up
  curl -sSf -T "$WORK/manifest" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/1"
  curl -sSf "$url/manifests/1" | cmp - "$WORK/manifest"
}

# The log is copied into the database when it is long, and its sync fails then: nobody in particular waits for that, but nothing
# more is acknowledged before a restart.
case_failed_sync_of_a_long_log() {
  hosted_wharf
  local url=http://$WHARF/v2/team/app
  echo '{}' >"$WORK/config"
  upload "$url" "$WORK/config"
  broken fdatasync,fsync:error=EIO -P "$WORK/store/index/index.sqlite3-wal"
  curl -sS -X POST -o /dev/null -w '%{http_code}\n' "$url/blobs/uploads/?n=[1-1000]" | uniq >"$WORK/codes"
  equal "the answers" "$(paste -sd ' ' "$WORK/codes")" '202 503'
  mended
  equal "status before a restart" "$(try_upload "$url" "$WORK/config")" 503
  curl -sSf "$url/blobs/$(digest_of "$WORK/config")" | cmp - "$WORK/config"
  stop wharf
  wharf_up
  upload "$url" "$WORK/config"
}

# No space: 507 in the registry's words; the session stays, and goes on where it was once there is space.
case_no_space_by_injection() {
  hosted_wharf
  local url=http://$WHARF/v2/team/app location
  blob_of 4 "$WORK/blob"
  location=$(session "$url")
  patch "$location" 0 $((1 << 20)) >"$WORK/code"
  equal "status of a chunk" "$(cat "$WORK/code")" 202
  broken pwrite64,pwritev:error=ENOSPC
  equal "status without space" "$(patch "$location" $((1 << 20)) $((3 << 20)))" 507
  oci_error "$WORK/answer"
  mended
  finish_upload "$location" $((1 << 20))
}

# The same on a real file system that is full, for each kind of push; what is there is served all the while.
case_no_space_on_a_full_disk() {
  mkdir "$WORK/store"
  mount -t tmpfs -o size=24m wharf-e2e "$WORK/store"
  hosted_wharf
  local url=http://$WHARF/v2/team/app location
  blob_of 4 "$WORK/blob" "$WORK/before"
  echo '{}' >"$WORK/config"
  upload "$url" "$WORK/config"
  upload "$url" "$WORK/before"
  manifest_of "$WORK/config" "$WORK/before" >"$WORK/manifest"
  curl -sSf -T "$WORK/manifest" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/1"
  location=$(session "$url")
  equal "status of a chunk" "$(patch "$location" 0 $((1 << 20)))" 202

  cat /dev/zero >"$WORK/store/filler" 2>/dev/null || true
  equal "status of a chunk on a full disk" "$(patch "$location" $((1 << 20)) $((3 << 20)))" 507
  oci_error "$WORK/answer"
  head -c 100000 /dev/urandom >"$WORK/small"
  equal "status of a small blob" "$(try_upload "$url" "$WORK/small")" 507
  oci_error "$WORK/answer"
  # The index grows by its journal, which may have room for some pushes more.
  local n code=201
  for ((n = 0; n < 10000; n++)); do
    [[ $code == 201 ]] || break
    manifest_of "$WORK/config" "$WORK/before" "$n" >"$WORK/another"
    code=$(curl -sS -o "$WORK/answer" -w '%{http_code}' -T "$WORK/another" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/full$n")
  done
  equal "status of manifest $n" "$code" 507
  oci_error "$WORK/answer"
  equal "status of its tag" "$(status "$url/manifests/full$((n - 1))")" 404
  curl -sSf "$url/manifests/1" | cmp - "$WORK/manifest"
  curl -sSf "$url/blobs/$(digest_of "$WORK/before")" | cmp - "$WORK/before"

  rm "$WORK/store/filler"
  finish_upload "$location" $((1 << 20))
  curl -sSf -T "$WORK/another" -H "Content-Type: $OCI_MANIFEST" "$url/manifests/full"
  stop wharf
  wharf_up
  curl -sSf "$url/manifests/full" | cmp - "$WORK/another"
  curl -sSf "$url/blobs/$(digest_of "$WORK/blob")" | cmp - "$WORK/blob"
  stop wharf
  umount "$WORK/store"
}

# A disk that takes or gives nothing fails no pull: a real client gets every byte past it. What came meanwhile is stored with the
# first pull once it works again; where a sync of the index has failed, after a restart.
case_pull_past_a_failing_disk() {
  upstreams_up
  wharf_up
  local fault
  for fault in pwrite64,pwritev:error=ENOSPC pwritev:error={EDQUOT,EIO,EROFS}; do
    broken "$fault"
    skopeo_by_path app "$WORK/past.$fault"
    mended
  done
  broken pread64:error=EIO -P "$WORK/store/index/index.sqlite3" -P "$WORK/store/index/index.sqlite3-wal"
  skopeo_by_path tools "$WORK/past.index"
  mended
  skopeo_by_path app "$WORK/stored"
  broken fdatasync,fsync:error=EIO
  skopeo_by_path tools "$WORK/past.sync"
  mended
  skopeo_by_path tools "$WORK/closed"
  grep -oP '[^:]+(?=; pulls go on without the store)' "$WORK/wharf.log" | sort >"$WORK/told"
  equal "what the log tells more than once a minute" "$(uniq -d "$WORK/told")" ""
  equal "whether it tells of a full disk" "$(grep -c 'the disk is full' "$WORK/told")" 1
  stop wharf
  wharf_up
  skopeo_by_path tools "$WORK/tools.stored"
  stop wharf
  wharf_up
  upstreams_down
  skopeo_by_path app "$WORK/app.again"
  skopeo_by_path tools "$WORK/tools.again"
}

# --- pushing by hand -------------------------------------------------------------------------------------------------

OCI_MANIFEST=application/vnd.oci.image.manifest.v1+json

blob_of() { # MIB FILE…: new noise for each
  local file
  for file in "${@:2}"; do head -c "$1M" /dev/urandom >"$file"; done
}

manifest_of() { # CONFIG LAYER [NOTE]
  jq -n --argjson config "$(descriptor application/vnd.oci.image.config.v1+json "$1")" \
    --argjson layer "$(descriptor application/vnd.oci.image.layer.v1.tar "$2")" --arg note "${3:-}" \
    '{schemaVersion: 2, mediaType: "'$OCI_MANIFEST'", config: $config, layers: [$layer], annotations: {note: $note}}'
}

session() { # REPOSITORY-URL, prints the location of a new upload
  curl -sSf -X POST -o /dev/null -w '%header{location}' "$1/blobs/uploads/"
}

# Sends COUNT bytes of $WORK/blob from START as a chunk: prints the status, leaves the body in $WORK/answer.
patch() { # LOCATION START COUNT
  dd if="$WORK/blob" of="$WORK/chunk" iflag=skip_bytes,count_bytes skip="$2" count="$3" bs=1M status=none
  curl -sS -X PATCH --data-binary "@$WORK/chunk" -H "Content-Range: $2-$(($2 + $3 - 1))" -o "$WORK/answer" -w '%{http_code}' \
    "http://$WHARF$1"
}

# The session is there, with at least the bytes that were acknowledged, and the blob can be completed from where it says.
finish_upload() { # LOCATION ACKNOWLEDGED
  local range at
  range=$(curl -sSf -o /dev/null -w '%{http_code} %header{range}' "http://$WHARF$1")
  [[ $range =~ ^204\ 0-([0-9]+)$ ]] || fail "status of the session: $range"
  at=$((BASH_REMATCH[1] + 1))
  ((at >= $2)) || fail "the session has $at bytes, $2 were acknowledged"
  equal "status of the rest" "$(patch "$1" "$at" $(($(stat -c %s "$WORK/blob") - at)))" 202
  curl -sSf -X PUT "http://$WHARF$1?digest=$(digest_of "$WORK/blob")"
  curl -sSf "${url:?}/blobs/$(digest_of "$WORK/blob")" | cmp - "$WORK/blob"
}

# Pushes FILE and prints the status of the first refusal, or of the end.
try_upload() { # REPOSITORY-URL FILE
  curl -sS -X POST --data-binary "@$2" -o "$WORK/answer" -w '%{http_code}' "$1/blobs/uploads/?digest=$(digest_of "$2")"
}

server_error() { [[ $1 == 5?? ]] || fail "a push to a broken disk is answered with $1"; }
oci_error() { jq -e '.errors[0].code' "$1" >/dev/null || fail "not in the registry's words: $(cat "$1")"; }

# --- the trace -------------------------------------------------------------------------------------------------------

begin() { BEGAN=$(wc -l <"$WORK/trace"); }

# facts STATUS CURL-OPTION…: the request is answered so, after what it changed in the index was synced.
facts() {
  local wanted=$1
  shift
  begin
  equal "status of ${*: -1}" "$(status "$@")" "$wanted"
  in_order "$wanted" 'written index' 'synced index'
}

# The blob of DIGEST was synced, renamed into place, its directory synced, the index written and synced, then answered.
file_and_facts() { # STATUS DIGEST
  local file="blobs/${2/://}"
  in_order "$1" 'written file' 'synced file' "renamed $file" "synced ${file%/*}" answered
  in_order "$1" "renamed $file" 'written index' 'synced index'
}

# These events come in this order, the last one before the first answer with STATUS is sent.
in_order() { # STATUS EVENT…
  local status=$1 event
  shift
  until_true answered "$status" # strace is a little behind
  events | sed "/^answered $status/q" >"$WORK/events"
  for event in "$@"; do
    echo "$event"
  done | awk 'NR == FNR { wanted[NR] = $0; n = NR; next }
    index($0, wanted[at + 1]) == 1 && at < n { at++ }
    END { if (at < n) { print "missing: " wanted[at + 1]; exit 1 } }' - "$WORK/events" || fail "before $status: $(cat "$WORK/events")"
}

answered() { events | grep -q "^answered $1"; }

# What was done to files since `begin`, one event a line, each at the moment it was complete, but an answer when it begins.
events() {
  tail -n "+$((BEGAN + 1))" "$WORK/trace" | awk -v store="$WORK/store/" '
    function said(text) { if (text != last) print last = text }
    {
      pid = $1
      sub(/^[0-9]+ +/, "")
      if (match($0, /"HTTP\/1\.1 [0-9]+/)) said("answered " substr($0, RSTART + 10, 3))
      if (sub(/ *<unfinished \.\.\.>$/, "")) { begun[pid] = $0; next }
      if (sub(/^<\.\.\. [a-z0-9_]+ resumed>/, "")) $0 = begun[pid] $0
      if ($0 !~ /= [0-9]+$/) next
      call = substr($0, 1, index($0, "(") - 1)
      split($0, quoted, "\"")
      path = call == "rename" ? quoted[4] : $0
      if (call != "rename" && !sub(/^[a-z0-9]+\([0-9]+</, "", path)) next
      sub(/>.*/, "", path)
      if (index(path, store) != 1) next
      path = substr(path, length(store) + 1)
      if (path ~ /-wal$/) path = "index"
      if (path ~ /^(uploads|staging)\/./) path = "file"
      if (call == "rename") said("renamed " path)
      if (call ~ /sync$/) said("synced " path)
      if (call ~ /^pwrite|^write/) said("written " path)
    }'
}
