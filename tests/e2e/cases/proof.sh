# P3: no single response ever completes a wrong blob; curl and Go are the judges. Sourced by `run`.

case_wrong_blob_with_length() { wrong_blob wrong-sized; }
case_wrong_blob_without_length() { wrong_blob wrong-chunked; }
case_right_blob_with_length() { right_blob honest-sized; }
case_right_blob_without_length() { right_blob honest-chunked; }

wrong_blob() {
  liar_up
  local url
  url=$(liar_url "$1")
  for judge in "curl -sS -o $WORK/blob" "$ROOT/judge"; do
    if $judge "$url"; then fail "$judge took a wrong blob from $1 for a good one"; fi
    forget_the_verdict
  done
  # While the endpoint is in disgrace it is not asked, and the answer is a 502 at once.
  if curl -sS -o "$WORK/blob" "$url"; then fail "curl took a wrong blob from $1 for a good one"; fi
  local asked
  asked=$(grep -c '^GET' "$WORK/liar.log")
  equal "status after a mismatch" "$(status "$url")" 502
  equal "GETs after a mismatch" "$(grep -c '^GET' "$WORK/liar.log")" "$asked"
  # An HTTP/1.0 client cannot tell a cut body without a length: it gets none.
  forget_the_verdict
  if curl -sSf --http1.0 -o "$WORK/blob" "$url"; then fail "curl, as HTTP/1.0, took a wrong blob for a good one"; fi
}

right_blob() {
  liar_up
  local url
  url=$(liar_url "$1")
  "$ROOT/judge" "$url"
  curl -sSf -o "$WORK/blob" "$url"
  curl -sSf --http1.0 -o "$WORK/blob" "$url"
  equal "digest" "$(digest_of "$WORK/blob")" "$(liar_digest)"
  equal "GETs" "$(grep -c '^GET' "$WORK/liar.log")" 1
}

# A page that asks to log in is not content, whatever its status.
case_html_is_not_content() {
  liar_up
  local url
  url=$(liar_url html)
  equal "status of a blob" "$(status "$url")" 502
  equal "status of a manifest" "$(status "${url%/blobs/*}/manifests/1")" 502
}

liar_up() {
  tool_up liar
  wharf_config "$(address_of liar)" 127.0.0.1:1
  wharf_up
}

liar_digest() { grep -oP '^digest \K.*' "$WORK/liar.log"; }
liar_url() { echo "http://$WHARF/v2/docker.io/liar/$1/blobs/$(liar_digest)"; }

# A restart, with an empty store: each judge meets the lie for the first time.
forget_the_verdict() {
  stop wharf
  rm -rf "$WORK/store"
  wharf_up
}
