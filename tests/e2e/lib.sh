# Services, cases and assertions of the end-to-end tests. Sourced by `run` and by benches/compare.
# A case runs in a subshell of its own; what it launches ends with it.

declare -A PID=() # of what the present shell has launched, by name

fail() {
  echo "assertion failed: $*" >&2
  exit 1
}

equal() { # WHAT GOT WANTED
  [[ $2 == "$3" ]] || fail "$1 is '$2', expected '$3'"
}

# A loopback port that nobody listens on, below those that the kernel hands out by itself.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# Waits until COMMAND succeeds; at most 60 seconds.
until_true() {
  local deadline=$((SECONDS + 60))
  until "$@"; do
    ((SECONDS < deadline)) || fail "still false after 60 s: $*"
    sleep 0.05
  done
}

# launch NAME COMMAND…: in the background, its output in $WORK/NAME.log
launch() {
  local name=$1
  shift
  : >>"$WORK/$name.log"
  "$@" >>"$WORK/$name.log" 2>&1 &
  PID[$name]=$!
}

# Waits until NAME's log has a line with PATTERN, and fails at once when the process is gone.
await() {
  local name=$1 pattern=$2
  said_or_gone() { grep -q "$pattern" "$WORK/$name.log" || ! kill -0 "${PID[$name]}" 2>/dev/null; }
  until_true said_or_gone
  grep -q "$pattern" "$WORK/$name.log" || fail "$name ended: $(tail -n 5 "$WORK/$name.log")"
}

# Launches NAME, a tool of these tests, and waits until it listens.
tool_up() { # NAME ARGUMENT…
  launch "$1" "$ROOT/$1" "${@:2}"
  await "$1" 'listening on'
}

# Where NAME said that it listens.
address_of() { grep -oP 'listening on \K[0-9.]+:\d+' "$WORK/$1.log" | head -n 1; }

# stop NAME [SIGNAL]: ends it, waits, and returns its exit code.
stop() {
  local name=$1 pid=${PID[$1]}
  unset "PID[$name]"
  kill "-${2:-TERM}" "$pid" 2>/dev/null || true
  wait "$pid"
}

stop_all() {
  local deadline=$((SECONDS + 15))
  ((${#PID[@]})) || return 0
  kill "${PID[@]}" 2>/dev/null || true
  while kill -0 "${PID[@]}" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
  kill -KILL "${PID[@]}" 2>/dev/null || true
  wait "${PID[@]}" 2>/dev/null || true
  PID=()
}

# Runs each case that is named as an argument, or every `case_…` function.
run_cases() {
  local name started names=("$@")
  passed=0 failed=0
  (($#)) || mapfile -t names < <(declare -F | sed -n 's/^declare -f case_//p')
  for name in "${names[@]}"; do
    WORK=$ROOT/$name
    mkdir -p "$WORK"
    started=$SECONDS
    # In the background and waited for: in an `if` or after `||`, bash would switch `set -e` off inside.
    (
      set -euo pipefail
      trap stop_all EXIT
      trap 'exit 143' TERM
      "case_$name"
    ) >"$WORK/case.log" 2>&1 &
    CASE=$!
    if wait "$CASE"; then
      echo "ok $name ($((SECONDS - started)) s)"
      sed -n 's/^not shown: /    &/p' "$WORK/case.log"
      passed=$((passed + 1))
      rm -rf "$WORK"
    else
      echo "FAILED $name"
      failed=$((failed + 1))
      tail -n 30 "$WORK"/{case,wharf}.log 2>/dev/null | cut -c1-240 | sed 's/^/    /' || true
    fi
  done
}

# --- upstreams -------------------------------------------------------------------------------------------------------

# registry_up NAME COMMAND ADDRESS STORAGE [MORE]: distribution 3 (`registry`) or Debian's 2.8 (`docker-registry`), configured
# with MORE lines
registry_up() {
  local name=$1 command=$2 address=$3 storage=$4 more=${5:-}
  cat >"$WORK/$name.yaml" <<-EOF
	version: 0.1
	log: {level: info}
	storage: {filesystem: {rootdirectory: $storage}, delete: {enabled: true}}
	http: {addr: "$address", secret: e2e}
	$more
	EOF
  OTEL_TRACES_EXPORTER=none launch "$name" "$command" serve "$WORK/$name.yaml"
  await "$name" "listening on $address"
}

# Both real upstreams over the fixtures: `new` holds library/app:1, `old` holds org/tools:1.
upstreams_up() {
  NEW=127.0.0.1:$(free_port) OLD=127.0.0.1:$(free_port)
  registry_up new registry "$NEW" "$FIXTURES/new"
  registry_up old docker-registry "$OLD" "$FIXTURES/old"
}

upstreams_down() {
  stop new || true
  stop old || true
}

# In how many answers the upstreams NAME… sent (a part of) a blob, and how many bytes these had in all: `COUNT BYTES`.
blob_sent() { # DIGEST NAME…
  local name logs=()
  for name in "${@:2}"; do logs+=("$WORK/$name.log"); done
  sed -nE "s@.*\] \"GET /v2/[^ ]+/blobs/$1[ ?].*\" 20[06] ([0-9]+) .*@\1@p" "${logs[@]}" |
    awk '{ bytes += $1 } END { printf "%d %.0f\n", NR, bytes }'
}

# Each blob of LIST left the upstreams once and whole, whichever of them has it too; nothing of OTHERS left any.
fetched_once() { # LIST OTHERS
  local digest size
  while read -r digest size; do
    equal "what was sent of $digest" "$(blob_sent "$digest" new old)" "1 $size"
  done <"$1"
  while read -r digest size; do
    equal "what was sent of $digest, for another platform" "$(blob_sent "$digest" new old)" "0 0"
  done <"$2"
}

# --- wharf -----------------------------------------------------------------------------------------------------------

# Writes $WORK/wharf.toml, or that of another wharf with a store of its own: the mirrors are on the standard input.
mirrors() { # [NAME STORE]
  {
    printf '[server]\nlisten = "127.0.0.1:0"\n[store]\npath = "%s"\n' "$WORK/${2:-store}"
    cat
  } >"$WORK/${1:-wharf}.toml"
}

# Writes $WORK/wharf.toml: docker.io is the new upstream, quay.io the old one, unless others are given.
wharf_config() {
  mirrors <<-EOF
	[mirror."docker.io"]
	endpoints = ["http://${1:-$NEW}"]
	hosts = ["hub.site.example"]
	fresh_for = "1ms"
	[mirror."quay.io"]
	endpoints = ["http://${2:-$OLD}"]
	hosts = ["quay.site.example"]
	fresh_for = "1ms"
	EOF
}

UNDER=() # what runs wharf, if anything

# Starts wharf and sets WHARF to its address, the same one after a restart.
wharf_up() {
  [[ -e $WORK/wharf.toml ]] || wharf_config
  : >"$WORK/wharf.log"
  [[ -z ${WHARF:-} ]] || export WHARF_SERVER__LISTEN=$WHARF
  launch wharf "${UNDER[@]}" "$WHARF_BINARY" serve --config "$WORK/wharf.toml"
  await wharf 'listening on 127.0.0.1:'
  WHARF=$(address_of wharf)
  equal "status of the ping" "$(status "http://$WHARF/v2/")" 200
}

status() { curl -sS -o /dev/null -w '%{http_code}' "$@"; }

# --- a broken disk ---------------------------------------------------------------------------------------------------

# From now on those of wharf's calls that OPTIONS select, all where there are none, fail as strace's FAULT says.
broken() { # CALLS:FAULT OPTION…
  : >"$WORK/fault.log"
  rm -f "$WORK/fault.trace"
  launch fault strace -f -o "$WORK/fault.trace" -e "trace=${1%%:*}" -e "inject=$1" "${@:2}" -p "${PID[wharf]}"
  await fault attached
}

has_failed() { grep -q INJECTED "$WORK/fault.trace"; }

mended() {
  stop fault INT || true
  has_failed || fail "no call was made to fail"
}

# --- content ---------------------------------------------------------------------------------------------------------

digest_of() { echo "sha256:$(sha256sum <"$1" | cut -d' ' -f1)"; }

# Digest and size of the blobs of IMAGE for amd64, the biggest one first.
biggest_of() { sort -nrk2 "$FIXTURES/$1.amd64"; }

# Among the files below DIR is each blob of LIST, byte for byte.
holds() {
  local dir=$1 list=$2 digest size
  find "$dir" -type f -print0 | xargs -0 sha256sum | sed 's/^\\\?/sha256:/; s/ .*//' | sort -u >"$WORK/held"
  while read -r digest size; do
    grep -qx "$digest" "$WORK/held" || fail "$dir lacks $digest ($size bytes)"
  done <"$list"
}

# The tree DIR is as DESCRIBED: names, types, modes, owners, links and bytes.
same_tree() { # DIR DESCRIBED
  diff <(describe_tree "$1") "$2" || fail "the tree $1 is not as in $2"
}

describe_tree() (
  cd "$1"
  find . -mindepth 1 -printf '%p %y %m %U:%G %l\n' | sort
  find . -type f -print0 | sort -z | xargs -0 sha256sum
)
