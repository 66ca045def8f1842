# Real clients push to hosted names; after a kill -9 another one pulls back, byte for byte. Sourced by `run`.
# A push function pushes library/small:1 of the fixtures, or what it makes of it, to $WHARF/NAME:1.

case_push_by_skopeo() { pushed_whole push_by_skopeo pull_by_crane; }
case_push_by_crane() { pushed_whole push_by_crane pull_by_regctl; }
case_push_by_regctl() { pushed_whole push_by_regctl pull_by_skopeo; }
case_push_by_containerd() { pushed_whole push_by_containerd pull_by_crane; }
case_push_by_podman() { pushed_anew push_by_podman pull_by_regctl; }
case_push_by_buildah() { pushed_anew push_by_buildah pull_by_skopeo; }

# The client pushes the very bytes of the fixture, an index with all platforms.
pushed_whole() { # PUSH PULL
  hosted_wharf
  "$1" team/small
  stop wharf KILL || true
  wharf_up
  "$2" team/small "$WORK/back"
  crane manifest "$WHARF/team/small:1" | cmp - "$FIXTURES/small.index"
  holds "$WORK/back" "$FIXTURES/small.all"
  "$1" team/small # everything is there already
  equal "tags" "$(crane ls "$WHARF/team/small")" 1
}

# The client writes a manifest of its own and says its digest in $WORK/digest.
pushed_anew() { # PUSH PULL
  hosted_wharf
  "$1" team/small
  stop wharf KILL || true
  wharf_up
  "$2" team/small "$WORK/back"
  crane manifest "$WHARF/team/small:1" >"$WORK/manifest"
  equal "digest" "$(digest_of "$WORK/manifest")" "$(cat "$WORK/digest")"
  jq -r '.config, .layers[] | "\(.digest) \(.size)"' "$WORK/manifest" >"$WORK/blobs"
  holds "$WORK/back" "$WORK/blobs"
  crane export "$WHARF/team/small:1" - | tar -xO --wildcards '*opt/model/model.bin' | cmp - <(noise 3)
}

# dockerd cannot run everywhere; these are its requests (20.10). It pushes one platform, in Docker's types.
case_push_by_dockerd() {
  hosted_wharf
  local url=http://$WHARF/v2/team/small type digest size location docker=application/vnd.docker
  local ask=(curl -sSf -A 'docker/20.10.24 go/go1.19.8 UpstreamClient(Docker-Client/20.10.24 \(linux\))' -o /dev/null)
  type=$docker.distribution.manifest.v2+json
  jq --arg type "$type" --arg config $docker.container.image.v1+json --arg layer $docker.image.rootfs.diff.tar.gzip \
    '.mediaType = $type | .config.mediaType = $config | .layers[].mediaType = $layer' "$FIXTURES/small.amd64.manifest" >"$WORK/manifest"
  "${ask[@]}" "http://$WHARF/v2/"
  while read -r digest size; do
    equal "status of a blob that is not there" "$(status --head "$url/blobs/$digest")" 404
    location=$("${ask[@]}" -X POST -w '%header{location}' "$url/blobs/uploads/")
    location=$("${ask[@]}" -X PATCH -H 'Transfer-Encoding: chunked' -H 'Content-Type:' -w '%header{location}' \
      --data-binary "@$FIXTURES/small.oci/blobs/${digest/://}" "http://$WHARF$location")
    "${ask[@]}" -X PUT -H 'Content-Length: 0' "http://$WHARF$location?digest=${digest/:/%3A}"
    equal "length of $digest" "$("${ask[@]}" --head -w '%header{content-length}' "$url/blobs/$digest")" "$size"
  done <"$FIXTURES/small.amd64"
  "${ask[@]}" -T "$WORK/manifest" -H "Content-Type: $type" "$url/manifests/1"
  stop wharf KILL || true
  wharf_up
  pull_by_skopeo team/small "$WORK/back"
  cmp "$WORK/back/manifest.json" "$WORK/manifest"
  holds "$WORK/back" "$FIXTURES/small.amd64"
}

# --- what is in wharf is not uploaded again --------------------------------------------------------------------------

case_mount_by_crane() { mounts_the_base append_by_crane; }
case_mount_by_regctl() { mounts_the_base copy_by_regctl; }
case_mount_by_containerd() { mounts_the_base copy_by_containerd; }
case_mount_by_skopeo() { mounts_the_base copy_by_skopeo; }
case_mount_by_buildah() { mounts_the_base build_by_buildah; }

# An image over a base that is cached from a mirror: the layers of the base are mounted, and no byte of them is sent.
mounts_the_base() { # PUSH
  upstreams_up
  wharf_up
  tool_up scribe "$WHARF"
  WHARF=$(address_of scribe)
  skopeo_by_path small "$WORK/cached"
  local digest sent
  while read -r digest _; do
    until_true is_stored "http://$WHARF/v2/docker.io/library/small/blobs/$digest"
  done <"$FIXTURES/small.amd64"
  "$1" docker.io/library/small team/over
  upstreams_down
  crane pull --platform linux/amd64 --format oci "$WHARF/team/over:1" "$WORK/back"
  while read -r digest; do
    grep -qE "^POST /v2/team/over/blobs/uploads/\?(.*&)?mount=$digest(&.*)? 0 201$" "$WORK/scribe.log" ||
      fail "$digest was not mounted: $(grep team/over "$WORK/scribe.log")"
    grep -q "^$digest " <(find "$WORK/back" -type f -print0 | xargs -0 sha256sum | sed 's/^/sha256:/') || fail "$digest did not come back"
  done < <(jq -r '.layers[].digest' "$FIXTURES/small.amd64.manifest")
  sent=$(awk '/^(POST|PATCH|PUT) .*\/blobs\/uploads\// { bytes += $3 } END { print bytes + 0 }' "$WORK/scribe.log")
  ((sent < 64 << 10)) || fail "$sent bytes of blobs were uploaded: $(cat "$WORK/scribe.log")"
}

# The fetch that brought it has landed.
is_stored() { curl -sSf -r 0-0 -o /dev/null -w '%header{cache-status}' "$1" | grep -q '^wharf; hit'; }

# --- artifacts -------------------------------------------------------------------------------------------------------

# Each kind with the media types that its tools write; the manifest and every blob come back as they were.
case_artifacts() {
  hosted_wharf
  noise 1 >"$WORK/payload"
  echo '{}' >"$WORK/config"
  printf '{}' >"$WORK/empty"
  : >"$WORK/nothing"
  local oci=application/vnd.oci.image.manifest.v1+json docker=application/vnd.docker.distribution.manifest.v2+json
  artifact charts/app 1.2.3 $oci config application/vnd.cncf.helm.config.v1+json application/vnd.cncf.helm.chart.content.v1.tar+gzip
  artifact charts/app 1.2.3-prov $oci config application/vnd.cncf.helm.config.v1+json application/vnd.cncf.helm.chart.provenance.v1.prov
  artifact team/app "sha256-$(printf %064d 7).sig" $oci config application/vnd.oci.image.config.v1+json \
    application/vnd.dev.cosign.simplesigning.v1+json
  artifact team/app "sha256-$(printf %064d 7).att" $oci config application/vnd.oci.image.config.v1+json \
    application/vnd.dsse.envelope.v1+json
  artifact hpc/tool 1 $oci empty application/vnd.sylabs.sif.config.v1+json application/vnd.sylabs.sif.layer.v1.sif
  artifact hpc/tool old $oci nothing application/vnd.sylabs.sif.config.v1 appliciation/vnd.sylabs.sif.layer.tar
  artifact hpc/tool unknown $oci config application/vnd.unknown.config.v1+json application/vnd.sylabs.sif.layer.v1.sif
  artifact hpc/tool docker $docker empty application/vnd.sylabs.sif.config.v1+json application/vnd.sylabs.sif.layer.v1.sif
  artifact hpc/tool squashfs $oci config application/vnd.oci.image.config.v1+json application/vnd.sylabs.image.layer.v1.squashfs
  artifact wasm/module 1 $oci config application/vnd.wasm.config.v0+json application/wasm
  artifact team/app attestation $oci empty application/vnd.oci.empty.v1+json application/vnd.in-toto+json
  artifact team/app zstd $oci config application/vnd.oci.image.config.v1+json application/vnd.oci.image.layer.v1.tar+zstd
  artifact plugins/it 1 $docker config application/vnd.docker.plugin.v1+json application/vnd.docker.image.rootfs.diff.tar.gzip
  artifact _leading "_$(printf %0127d 1)" $oci config application/vnd.oci.image.config.v1+json text/plain && fail "a name may not begin with _"
  artifact leading "_$(printf %0127d 1)" $oci config application/vnd.oci.image.config.v1+json text/plain
}

# Pushes by bare HTTP, so that no client puts its own idea of a media type in between.
artifact() { # NAME TAG TYPE CONFIG CONFIG-TYPE LAYER-TYPE
  local url=http://$WHARF/v2/$1 file got
  upload "$url" "$WORK/$4" || return
  upload "$url" "$WORK/payload" || return
  jq -n --arg type "$3" --argjson config "$(descriptor "$5" "$WORK/$4")" --argjson layer "$(descriptor "$6" "$WORK/payload")" \
    '{schemaVersion: 2, mediaType: $type, config: $config, layers: [$layer], annotations: {"org.example.kind": "test"}}' >"$WORK/artifact"
  curl -sSf -T "$WORK/artifact" -H "Content-Type: $3" "$url/manifests/$2"
  got=$(curl -sSf -o "$WORK/artifact.back" -w '%{content_type}' "$url/manifests/$2")
  equal "content type of $1:$2" "$got" "$3"
  cmp "$WORK/artifact" "$WORK/artifact.back"
  for file in "$4" payload; do
    curl -sSf "$url/blobs/$(digest_of "$WORK/$file")" | cmp - "$WORK/$file"
  done
}

descriptor() { # TYPE FILE
  jq -nc --arg type "$1" --arg digest "$(digest_of "$2")" --argjson size "$(stat -c %s "$2")" '{mediaType: $type, digest: $digest, size: $size}'
}

upload() { # REPOSITORY-URL FILE
  local location
  location=$(curl -sSf -X POST -o /dev/null -w '%header{location}' "$1/blobs/uploads/") || return
  curl -sSf -X PUT --data-binary "@$2" -H 'Content-Type: application/octet-stream' "http://$WHARF$location?digest=$(digest_of "$2")"
}

# --- lists and deletion ----------------------------------------------------------------------------------------------

# What points at an image, by the client that asks the referrers API, and with its filter.
case_referrers_by_regctl() {
  hosted_wharf
  push_by_regctl team/app
  local image=$WHARF/team/app:1 sbom=application/spdx+json signature=application/vnd.dev.cosign.artifact.sig.v1+json list
  echo '{"spdxVersion": "SPDX-2.3"}' >"$WORK/sbom"
  echo signed >"$WORK/signature"
  "${REGCTL[@]}" artifact put --artifact-type $sbom -f "$WORK/sbom" -m $sbom --annotation org.example.by=e2e --subject "$image"
  "${REGCTL[@]}" artifact put --artifact-type $signature -f "$WORK/signature" -m application/octet-stream --subject "$image"
  list=$("${REGCTL[@]}" artifact list --format '{{ range .Descriptors }}{{ .ArtifactType }} {{ index .Annotations "org.example.by" }}{{ println }}{{ end }}' "$image")
  equal "referrers" "$(sort <<<"$list" | grep .)" "$(printf '%s e2e\n%s ' $sbom $signature)"
  "${REGCTL[@]}" artifact get --subject "$image" --filter-artifact-type $sbom | cmp - "$WORK/sbom"
  # By the API: not by a fallback tag, which a client leaves where the registry has none.
  equal "tags" "$(crane ls "$WHARF/team/app")" 1
  stop wharf KILL || true
  wharf_up
  "${REGCTL[@]}" artifact get --subject "$image" --filter-artifact-type $signature | cmp - "$WORK/signature"
}

case_tags_and_catalog() {
  hosted_wharf
  push_by_crane team/app
  local tag digest
  for tag in v1 v10 v2 _x V3; do crane tag "$WHARF/team/app:1" "$tag"; done
  equal "tags" "$(crane ls "$WHARF/team/app" | xargs)" "$(printf '%s\n' 1 v1 v10 v2 _x V3 | LC_ALL=C sort | xargs)"
  equal "tags, by regctl in pages of two" "$("${REGCTL[@]}" tag ls --limit 2 "$WHARF/team/app" | wc -l)" 2
  push_by_crane other/app
  equal "catalog" "$(crane catalog "$WHARF" | xargs)" "other/app team/app"

  digest=$(crane digest "$WHARF/team/app:1")
  crane delete "$WHARF/team/app:v10"
  "${REGCTL[@]}" tag delete "$WHARF/team/app:v2"
  equal "tags after two were deleted" "$(crane ls "$WHARF/team/app" | LC_ALL=C sort | xargs)" "1 V3 _x v1"
  crane validate --remote "$WHARF/team/app@$digest"
  "${REGCTL[@]}" manifest delete "$WHARF/team/app@$digest"
  equal "status of a tag whose manifest was deleted" "$(status "http://$WHARF/v2/team/app/manifests/v1")" 404
  equal "tags after the manifest was deleted" "$(crane ls "$WHARF/team/app")" ""
  crane validate --remote "$WHARF/other/app:1"
}

# --- access ----------------------------------------------------------------------------------------------------------

# On a public address, without a word about access, everybody may pull and nobody push.
case_public_address_refuses_pushes() {
  upstreams_up
  wharf_config
  sed -i 's/127\.0\.0\.1:0/0.0.0.0:0/' "$WORK/wharf.toml"
  launch wharf "$WHARF_BINARY" serve --config "$WORK/wharf.toml"
  await wharf 'listening on 0.0.0.0:'
  WHARF=$(address_of wharf)
  WHARF=127.0.0.1:${WHARF#*:}
  local code
  code=$(curl -sS -X POST -o "$WORK/answer" -w '%{http_code}' "http://$WHARF/v2/team/app/blobs/uploads/")
  equal "status of a push" "$code $(jq -r '.errors[0].code' "$WORK/answer")" "403 DENIED"
  # The message says what to write where.
  jq -r '.errors[0].message' "$WORK/answer" | grep -q 'access.anonymous' || fail "$(cat "$WORK/answer")"
  if push_by_skopeo team/app >"$WORK/skopeo" 2>&1; then fail "skopeo pushed to a public address"; fi
  grep -q denied "$WORK/skopeo" || fail "$(cat "$WORK/skopeo")"
  equal "status of a deletion" "$(status -X DELETE "http://$WHARF/v2/team/app/manifests/1")" 403
  crane validate --remote "$WHARF/docker.io/library/small:1"
}

# --- the clients -----------------------------------------------------------------------------------------------------

# A wharf that mirrors nothing that these tests use.
hosted_wharf() {
  mirrors </dev/null
  wharf_up
  REGCTL=(regctl --host "reg=$WHARF,tls=disabled")
}

push_by_skopeo() { skopeo_run copy --all --preserve-digests --dest-tls-verify=false "oci:$FIXTURES/small.oci:1" "docker://$WHARF/$1:1"; }
push_by_crane() { crane push "$FIXTURES/small.oci" "$WHARF/$1:1"; }
push_by_regctl() { "${REGCTL[@]}" image copy "ocidir://$FIXTURES/small.oci:1" "$WHARF/$1:1"; }

push_by_containerd() {
  [[ -n ${PID[containerd]:-} ]] || containerd_up "$WORK/containerd"
  tar -C "$FIXTURES/small.oci" -c . | ctr images import --all-platforms --no-unpack --base-name "$WHARF/$1" -
  ctr images push --plain-http "$WHARF/$1:1"
}

push_by_podman() {
  storage podman
  tar -C "$FIXTURES/small.oci" -cf "$WORK/small.tar" . # of a directory, podman would make a name, with its capitals
  "${STORAGE[@]}" pull --quiet "oci-archive:$WORK/small.tar" >"$WORK/id"
  "${STORAGE[@]}" push --tls-verify=false --digestfile "$WORK/digest" "$(cat "$WORK/id")" "$WHARF/$1:1"
}

push_by_buildah() {
  storage buildah
  local container
  noise 3 >"$WORK/model.bin"
  container=$("${STORAGE[@]}" from scratch)
  "${STORAGE[@]}" copy --quiet "$container" "$WORK/model.bin" /opt/model/model.bin
  "${STORAGE[@]}" config --cmd /bin/true "$container"
  "${STORAGE[@]}" commit --quiet "$container" made
  "${STORAGE[@]}" push --tls-verify=false --digestfile "$WORK/digest" made "docker://$WHARF/$1:1"
}

# Sets STORAGE to podman or buildah with a storage of its own.
storage() {
  local run # podman wants its path to be short
  run=$(mktemp -d "$ROOT/run.XXX")
  STORAGE=("$1" --root "$WORK/$1" --runroot "$run" --storage-driver vfs)
  [[ $1 != podman ]] || STORAGE+=(--tmpdir "$WORK/podman.tmp")
  registries_conf
  export CONTAINERS_REGISTRIES_CONF=$WORK/registries.conf
}

pull_by_skopeo() { skopeo_run copy --all --preserve-digests --src-tls-verify=false "docker://$WHARF/$1:1" "dir:$2"; }
pull_by_crane() { crane pull --format oci "$WHARF/$1:1" "$2"; }
pull_by_regctl() { "${REGCTL[@]}" image copy "$WHARF/$1:1" "ocidir://$2:1"; }

# Base and target are repositories of one registry; each client has its own reason to know that.
append_by_crane() {
  mkdir -p "$WORK/extra/etc"
  echo over >"$WORK/extra/etc/over"
  layer "$WORK/extra"
  crane append --platform linux/amd64 -b "$WHARF/$1:1" -f "$WORK/extra.tar.gz" -t "$WHARF/$2:1"
}

copy_by_regctl() { regctl --host "reg=$WHARF,tls=disabled" image copy --platform linux/amd64 "$WHARF/$1:1" "$WHARF/$2:1"; }

copy_by_containerd() {
  containerd_up "$WORK/containerd"
  ctr images pull --plain-http --snapshotter native --platform linux/amd64 "$WHARF/$1:1" | tail -n 1
  ctr images tag "$WHARF/$1:1" "$WHARF/$2:1"
  ctr images push --plain-http --platform linux/amd64 "$WHARF/$2:1"
}

copy_by_skopeo() {
  skopeo_run copy --preserve-digests --src-tls-verify=false --dest-tls-verify=false "docker://$WHARF/$1:1" "docker://$WHARF/$2:1"
}

build_by_buildah() {
  storage buildah
  local container
  container=$("${STORAGE[@]}" from --tls-verify=false "$WHARF/$1:1")
  echo over >"$WORK/over"
  "${STORAGE[@]}" copy --quiet "$container" "$WORK/over" /etc/over
  "${STORAGE[@]}" commit --quiet "$container" made
  "${STORAGE[@]}" push --tls-verify=false made "docker://$WHARF/$2:1"
}
