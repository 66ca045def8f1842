# What the tests need beyond Rust and Go: installs what is missing, and only that. Sourced; wants root and Debian.
# Every function here says by its exit code whether it succeeded, also where `set -e` is off.

# Without Go, `components` fails and is counted; sourcing this must not end the script that counts.
if ! command -v go >/dev/null && [[ -x /usr/local/go/bin/go ]]; then PATH=/usr/local/go/bin:$PATH; fi
if gopath=$(go env GOPATH 2>/dev/null); then PATH=$gopath/bin:$PATH; fi

components() {
  packages gcc:build-essential curl jq openssl ip:iproute2 strace rsync sqlite3 skopeo podman buildah ctr:containerd docker-registry \
    nginx:nginx-light tinyproxy microsocks &&
    go_tool registry github.com/distribution/distribution/v3 cmd/registry v3.0.0 &&
    go_tool crane github.com/google/go-containerregistry cmd/crane v0.20.6 &&
    go_tool regctl github.com/regclient/regclient cmd/regctl v0.9.2
}

# packages COMMAND[:PACKAGE]…
packages() {
  local wanted missing=()
  for wanted in "$@"; do
    command -v "${wanted%%:*}" >/dev/null || missing+=("${wanted##*:}")
  done
  ((${#missing[@]})) || return 0
  export DEBIAN_FRONTEND=noninteractive
  ( # a shell of its own, for a trap of its own
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then # a package's service must not start: the tests start their own
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" || exit
    fi
    apt-get update -q && apt-get install -qy --no-install-recommends "${missing[@]}"
  )
}

# go_tool COMMAND MODULE PACKAGE VERSION
go_tool() {
  local command=$1 module=$2 package=$3 version=$4 found
  found=$(command -v "$command" || true)
  [[ -n $found ]] && go version -m "$found" | grep -qP "^\tmod\t\Q$module\E\t\Q$version\E\t" && return
  GOBIN="$(go env GOPATH)/bin" go install "$module/$package@$version" # where PATH finds it, whatever GOBIN says
}
