# Every client as the first one on an empty cache, and again with the upstreams stopped. Sourced by `run`.
# A pull function pulls IMAGE (app or tools) through wharf into DIR and checks there what it got, byte for byte.

case_skopeo_by_path() { first_on_an_empty_cache skopeo_by_path amd64; }
case_skopeo_by_bare_name() { first_on_an_empty_cache skopeo_by_bare_name amd64 app; }
case_skopeo_as_mirror() { first_on_an_empty_cache skopeo_as_mirror amd64; }
case_skopeo_all_platforms() { first_on_an_empty_cache skopeo_all_platforms all; }
case_podman_as_mirror() { first_on_an_empty_cache podman_as_mirror amd64; }
case_podman_by_path() { first_on_an_empty_cache podman_by_path amd64; }
case_containerd_by_ns() { first_on_an_empty_cache containerd_by_ns amd64; }
case_crane_by_path() { first_on_an_empty_cache crane_by_path amd64; }
case_crane_copy() { first_on_an_empty_cache crane_copy all; }
case_regctl_by_path() { first_on_an_empty_cache regctl_by_path all; }
case_dockerd_by_host() { first_on_an_empty_cache dockerd_by_host amd64; }
case_dockerd_by_bare_name() { first_on_an_empty_cache dockerd_by_bare_name amd64 app; }

# first_on_an_empty_cache PULL PLATFORMS [IMAGE…]
first_on_an_empty_cache() {
  local pull=$1 platforms=$2 image images=("${@:3}")
  ((${#images[@]})) || images=(app tools)
  upstreams_up
  wharf_up
  for image in "${images[@]}"; do "$pull" "$image" "$WORK/$image.cold"; done
  for image in "${images[@]}"; do
    fetched_once "$FIXTURES/$image.$platforms" "$(others_than "$image" "$platforms")"
  done
  upstreams_down
  for image in "${images[@]}"; do "$pull" "$image" "$WORK/$image.again"; done
}

# All clients in turn, each as itself, on one cache: the upstreams send each blob once in all.
case_one_fetch_for_all_clients() {
  upstreams_up
  wharf_up
  local pull image
  for pull in podman_as_mirror skopeo_by_path containerd_by_ns crane_by_path dockerd_by_host regctl_by_path; do
    for image in app tools; do "$pull" "$image" "$WORK/$pull.$image"; done
  done
  for image in app tools; do fetched_once "$FIXTURES/$image.all" /dev/null; done
}

# Different clients at the same moment, on an empty cache.
case_herd_of_clients() {
  upstreams_up
  wharf_up
  local pull pids=() pid
  for pull in skopeo_by_path skopeo_as_mirror skopeo_by_bare_name crane_by_path dockerd_by_host dockerd_by_bare_name; do
    "$pull" app "$WORK/$pull" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  fetched_once "$FIXTURES/app.amd64" "$FIXTURES/app.arm64-only"
}

# The answers of wharf are those of the upstream, and they say where they come from.
case_answers() {
  upstreams_up
  wharf_up
  local url=http://$WHARF/v2/docker.io/library/app blob size
  read -r blob size <"$FIXTURES/app.amd64"
  curl -sSf -D "$WORK/cold" -o "$WORK/blob" "$url/blobs/$blob"
  is_hit() {
    curl -sSf -D "$WORK/warm" -o "$WORK/blob" "$url/blobs/$blob" && grep -qi '^cache-status: wharf; hit' "$WORK/warm"
  }
  until_true is_hit # until the commit has landed, the fetch itself answers
  equal "digest of the blob" "$(digest_of "$WORK/blob")" "$blob"
  grep -qi '^cache-status: wharf; fwd=uri-miss; stored' "$WORK/cold" || fail "$(cat "$WORK/cold")"
  grep -qi "^content-length: $size" "$WORK/warm" || fail "$(cat "$WORK/warm")"
  curl -sSf "$url/manifests/1" | cmp - "$FIXTURES/app.index"
  equal "status of an unknown tag" "$(status "$url/manifests/nope")" 404
  equal "status of an unknown ?ns=" "$(status "http://$WHARF/v2/library/app/manifests/1?ns=nowhere.example")" 404
  equal "status of a write" "$(status -X POST "$url/blobs/uploads/")" 405
}

# --- the clients -----------------------------------------------------------------------------------------------------

others_than() { if [[ $2 == all ]]; then echo /dev/null; else echo "$FIXTURES/$1.arm64-only"; fi; }
origin_of() { case $1 in app) echo docker.io/library/app ;; tools) echo quay.io/org/tools ;; small) echo docker.io/library/small ;; esac }
host_of() { case $1 in app) echo hub.site.example ;; tools) echo quay.site.example ;; esac }

skopeo_by_path() { skopeo_copy "$1" "$WHARF/$(origin_of "$1"):1" "$2" --src-tls-verify=false; }
skopeo_by_bare_name() { skopeo_copy "$1" "$WHARF/library/app:1" "$2" --src-tls-verify=false; }
skopeo_as_mirror() { skopeo_copy "$1" "$(origin_of "$1"):1" "$2"; }

skopeo_copy() { # IMAGE SOURCE DIR OPTION…
  skopeo_run copy --preserve-digests "${@:4}" "docker://$2" "dir:$3"
  cmp "$3/manifest.json" "$FIXTURES/$1.amd64.manifest"
  holds "$3" "$FIXTURES/$1.amd64"
}

skopeo_all_platforms() {
  skopeo_run copy --all --preserve-digests --src-tls-verify=false "docker://$WHARF/$(origin_of "$1"):1" "dir:$2"
  cmp "$2/manifest.json" "$FIXTURES/$1.index"
  holds "$2" "$FIXTURES/$1.all"
}

skopeo_run() {
  registries_conf
  skopeo --insecure-policy --registries-conf "$WORK/registries.conf" --override-os linux --override-arch amd64 "$@"
}

podman_as_mirror() { podman_pull "$1" "$(origin_of "$1"):1" "$2"; }
podman_by_path() { podman_pull "$1" "$WHARF/$(origin_of "$1"):1" "$2" --tls-verify=false; }

podman_pull() { # IMAGE NAME DIR OPTION…
  local image=$1 name=$2 dir=$3
  mkdir -p "$dir"
  local run # podman wants its path to be short
  run=$(mktemp -d "$ROOT/run.XXX")
  local podman=(podman --root "$dir/root" --runroot "$run" --tmpdir "$dir/tmp" --storage-driver vfs)
  registries_conf
  CONTAINERS_REGISTRIES_CONF=$WORK/registries.conf "${podman[@]}" pull --quiet --os linux --arch amd64 "${@:4}" "$name"
  equal "podman's configuration" "sha256:$("${podman[@]}" image inspect --format '{{.Id}}' "$name")" \
    "$(jq -r .config.digest "$FIXTURES/$image.amd64.manifest")"
  if [[ $image == app ]]; then
    same_tree "$("${podman[@]}" image mount "$name")" "$FIXTURES/rootfs.tree"
    "${podman[@]}" image unmount "$name" >/dev/null
  fi
}

# The snippet that we ship, with the address of this wharf; the mirror is the only way out.
registries_conf() { with_address "$CONFIG/podman/registries.conf" >"$WORK/registries.conf"; }

containerd_by_ns() {
  local dir=$2 name
  name=$(origin_of "$1"):1
  mkdir -p "$dir/hosts/_default"
  with_address "$CONFIG/containerd/hosts.toml" >"$dir/hosts/_default/hosts.toml"
  containerd_up "$dir"
  ctr images pull --hosts-dir "$dir/hosts" --snapshotter native --platform linux/amd64 "$name" | tail -n 3
  holds "$dir/root/io.containerd.content.v1.content" "$FIXTURES/$1.amd64"
  if [[ $1 == app ]]; then
    mkdir "$dir/rootfs"
    ctr images mount --snapshotter native "$name" "$dir/rootfs" >/dev/null
    same_tree "$dir/rootfs" "$FIXTURES/rootfs.tree"
    ctr images unmount --rm --snapshotter native "$dir/rootfs" >/dev/null
  fi
  unset -f ctr
  stop containerd || true
}

# containerd with all that it keeps below DIR; `ctr` speaks to it.
containerd_up() {
  local dir=$1
  mkdir -p "$dir"
  cat >"$dir/containerd.toml" <<-EOF
	version = 2
	root = "$dir/root"
	state = "$dir/state"
	disabled_plugins = ["io.containerd.grpc.v1.cri"]
	[grpc]
	address = "$dir/sock"
	[ttrpc]
	address = "$dir/ttrpc"
	EOF
  : >"$WORK/containerd.log"
  launch containerd containerd --config "$dir/containerd.toml"
  await containerd 'containerd successfully booted'
  CONTAINERD=$dir/sock
  ctr() { command ctr --address "$CONTAINERD" "$@"; }
}

crane_by_path() {
  local name
  name=$WHARF/$(origin_of "$1")
  crane manifest "$name:1" | cmp - "$FIXTURES/$1.index"
  equal "crane digest" "$(crane digest "$name:1")" "$(digest_of "$FIXTURES/$1.index")"
  crane pull --platform linux/amd64 --format oci "$name:1" "$2"
  holds "$2" "$FIXTURES/$1.amd64"
}

# Into a third registry, that then holds the very same index.
crane_copy() {
  local target
  target=127.0.0.1:$(free_port)
  : >"$WORK/target.log"
  registry_up target registry "$target" "$2"
  crane copy "$WHARF/$(origin_of "$1"):1" "$target/copy:1"
  crane manifest "$target/copy:1" | cmp - "$FIXTURES/$1.index"
  stop target || true
  holds "$2" "$FIXTURES/$1.all"
}

regctl_by_path() {
  local name
  name=$WHARF/$(origin_of "$1"):1
  export REGCTL_CONFIG=$WORK/regctl.json
  regctl registry set --tls disabled "$WHARF"
  regctl manifest get --format raw-body "$name" | cmp - "$FIXTURES/$1.index"
  regctl image copy "$name" "ocidir://$2:1"
  holds "$2" "$FIXTURES/$1.all"
}

# dockerd cannot run everywhere; these are its requests (20.10, `registry-mirrors`).
dockerd_by_host() { dockerd_pull "$1" "$2" -H "Host: $(host_of "$1"):5000"; }
dockerd_by_bare_name() { dockerd_pull "$1" "$2"; }

dockerd_pull() { # IMAGE DIR OPTION…
  local image=$1 dir=$2 mirror path digest size manifest
  local ask=(curl -sSf -A 'docker/20.10.24 go/go1.19.8 UpstreamClient(Docker-Client/20.10.24 \(linux\))' "${@:3}") accept=() type
  for type in application/vnd.oci.image.manifest.v1+json application/vnd.docker.distribution.manifest.v1+prettyjws \
    application/json application/vnd.docker.distribution.manifest.v2+json \
    application/vnd.docker.distribution.manifest.list.v2+json application/vnd.oci.image.index.v1+json; do
    accept+=(-H "Accept: $type")
  done
  mkdir -p "$dir"
  mirror=$(with_address "$CONFIG/docker/daemon.json" | jq -r '.["registry-mirrors"][0]')
  path=$(origin_of "$image")
  path=${mirror%/}/v2/${path#*/}
  "${ask[@]}" "${mirror%/}/v2/" >/dev/null
  "${ask[@]}" --head "${accept[@]}" "$path/manifests/1" >"$dir/head"
  digest=$(grep -oiP '^docker-content-digest: \K\S+' "$dir/head")
  "${ask[@]}" "${accept[@]}" "$path/manifests/$digest" | cmp - "$FIXTURES/$image.index"
  manifest=$(jq -r '.manifests[] | select(.platform.architecture == "amd64").digest' "$FIXTURES/$image.index")
  "${ask[@]}" "${accept[@]}" "$path/manifests/$manifest" | cmp - "$FIXTURES/$image.amd64.manifest"
  while read -r digest size; do
    "${ask[@]}" -H 'Accept-Encoding: identity' -o "$dir/${digest#*:}" "$path/blobs/$digest"
  done <"$FIXTURES/$image.amd64"
  holds "$dir" "$FIXTURES/$image.amd64"
}

# A configuration snippet that we ship, with its example address replaced by that of this wharf.
with_address() { sed "s/127\.0\.0\.1:5000/$WHARF/g" "$1"; }
