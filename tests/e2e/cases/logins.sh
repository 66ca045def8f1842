# Real registries that want to know who asks: by tokens of a token server, and by Basic. Sourced by `run`.

# Clients without any credentials pull what wharf has credentials for; who has the wrong ones is told whose they are.
case_token_server() {
  token_upstream "$FIXTURES/new" 300
  mirrors <<-EOF
	[mirror."docker.io"]
	endpoints = ["http://$NEW"]
	username = "site"
	password = "hunter2"
	[mirror."wrong.example"]
	endpoints = ["http://$NEW"]
	username = "site"
	password = "swordfish"
	[mirror."nobody.example"]
	endpoints = ["http://$NEW"]
	EOF
  RUST_LOG=wharf=debug wharf_up
  equal "status of the registry itself" "$(status "http://$NEW/v2/library/small/manifests/1")" 401
  skopeo_by_path small "$WORK/small"
  crane_by_path small "$WORK/small.again"
  : >"$WORK/old.log" # there is none
  fetched_once "$FIXTURES/small.amd64" "$FIXTURES/small.arm64-only"
  equal "tokens, one for all of it" "$(grep -c '^200 "site" \[repository:library/small:pull\]$' "$WORK/warden.log")" 1
  told 502 wrong.example 1 "$WARDEN (token realm of $NEW) answered 401" 'does not accept the credentials of mirror "wrong.example" (user "site")'
  told 403 nobody.example 1 'none configured for mirror' 'username with password or password_file'
  nothing_secret
}

# A token is good for two seconds at most, and the connection is reset twice when they are over: the download goes on with
# new tokens, and the client sees one response.
case_token_expires_in_mid_transfer() {
  token_upstream "$FIXTURES/old" 2
  read -r DIGEST SIZE < <(biggest_of tools)
  LINK=127.0.0.1:$(free_port) BEHIND=$NEW TAKES=8
  link_up
  wharf_config 127.0.0.1:1 "$LINK"
  sed -i '/^\[mirror."quay.io"\]/a username = "site"\npassword = "hunter2"' "$WORK/wharf.toml"
  RUST_LOG=wharf=debug wharf_up
  URL=http://$WHARF/v2/quay.io/org/tools/blobs/$DIGEST
  local token came=$((SIZE / 16))
  client_has "$came"
  for _ in 1 2; do
    until_true larger_than_file "$WORK/blob" "$came"
    token=$(curl -sSf -u site:hunter2 "http://$WARDEN/?service=e2e&scope=repository:org/tools:pull" | jq -r .token)
    until_true is_refused "$token" # and so is wharf's, which is older
    came=$(stat -c %s "$WORK/blob")
    kill -HUP "${PID[link]}"
  done
  client_is_served
  equal "how often a token was refused" "$(grep -c "\"GET /v2/org/tools/blobs/$DIGEST.* 401 .*wharf" "$WORK/new.log")" 3
  is_cached
  nothing_secret
}

# The registry gets a new password while wharf runs. Until its file has it too, wharf says whose login is refused; the next
# pull after that works, without a restart.
case_password_file_is_rotated() {
  NEW=127.0.0.1:$(free_port)
  registry_knows hunter2
  registry_up new registry "$NEW" "$FIXTURES/new" "auth: {htpasswd: {realm: e2e, path: $WORK/htpasswd}}"
  wharf_knows hunter2
  mirrors <<-EOF
	[mirror."docker.io"]
	endpoints = ["http://$NEW"]
	username = "site"
	password_file = "$WORK/password"
	fresh_for = "1ms"
	EOF
  RUST_LOG=wharf=debug wharf_up
  equal "status of the registry itself" "$(status "http://$NEW/v2/")" 401
  crane manifest "$WHARF/docker.io/library/small:1" | cmp - "$FIXTURES/small.index"
  registry_knows swordfish
  local manifests=http://$WHARF/v2/docker.io/library/small/manifests platform
  platform=$(digest_of "$FIXTURES/small.amd64.manifest")
  told 403 docker.io "$platform" "$NEW answered 401" 'mirror "docker.io" (user "site")'
  curl -sSf -D "$WORK/head" "$manifests/1" | cmp - "$FIXTURES/small.index"
  grep -qi '^cache-status: wharf; hit' "$WORK/head" || fail "$(cat "$WORK/head")"
  wharf_knows swordfish
  skopeo_by_path small "$WORK/small"
  equal "status of what is not there" "$(status "$manifests/nope")" 404
  nothing_secret
}

# --- the registry ----------------------------------------------------------------------------------------------------

# Distribution 3 over STORAGE as NEW, and its token server WARDEN, whose tokens are good for so many seconds.
token_upstream() { # STORAGE SECONDS
  NEW=127.0.0.1:$(free_port)
  tool_up warden "$WORK/jwks" e2e site hunter2 "$2"
  WARDEN=$(address_of warden)
  registry_up new registry "$NEW" "$1" \
    "auth: {token: {realm: \"http://$WARDEN/\", service: e2e, issuer: e2e, jwks: $WORK/jwks}}"
}

is_refused() { [[ $(status -H "Authorization: Bearer $1" "http://$NEW/v2/") == 401 ]]; }

# By bcrypt, the only way that distribution knows; perl-base is in every Debian, htpasswd is not.
registry_knows() { # PASSWORD
  perl -e 'print "site:", crypt($ARGV[0], "\$2b\$05\$saltsaltsaltsaltsaltsu"), "\n"' "$1" >"$WORK/htpasswd.new"
  mv "$WORK/htpasswd.new" "$WORK/htpasswd"
}

wharf_knows() { # PASSWORD
  echo "$1" >"$WORK/password.new"
  mv "$WORK/password.new" "$WORK/password"
}

# The mirror's answer is an error with STATUS, and says all of WORDS.
told() { # STATUS MIRROR REFERENCE WORDS…
  local words said
  equal "status of $2" "$(curl -sS -o "$WORK/answer" -w '%{http_code}' "http://$WHARF/v2/$2/library/small/manifests/$3")" "$1"
  said=$(jq -r '.errors[0] | "\(.code) \(.message)"' "$WORK/answer")
  for words in "${@:4}"; do
    [[ $said == *"$words"* ]] || fail "'$words' is not in: $said"
  done
}

nothing_secret() {
  if grep -qE 'hunter2|swordfish' "$WORK/wharf.log"; then fail "a password is in the log"; fi
}
