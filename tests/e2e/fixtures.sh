# The images that the upstreams hold, made from real file trees with real clients. Sourced by `run`.
#
# library/app:1 (in `new`): an OCI index; amd64 has three layers, one of 256 MiB; arm64 has two, one of them shared.
# org/tools:1   (in `old`): a Docker manifest list, two platforms, two layers each; the base layers are those of app.
# library/small:1 (in `new`): an OCI index, two platforms of three layers, 3 MiB in all; also as the OCI layout small.oci, to push.
# Of each, $FIXTURES has NAME.index (the bytes) and NAME.{amd64,arm64} (digest and size of config and layers).

make_fixtures() {
  WORK=$FIXTURES
  upstreams_up
  local layers=$FIXTURES/layers rootfs=$FIXTURES/rootfs
  mkdir -p "$layers" "$rootfs"

  base_tree amd64 "$layers/base-amd64"
  base_tree arm64 "$layers/base-arm64"
  mkdir -p "$layers/files/etc" "$layers/weights/opt/model"
  echo 'greeting = "hello"' >"$layers/files/etc/app.conf"
  echo replaced >"$layers/files/etc/motd"
  touch "$layers/files/etc/.wh.hostname" # removes the file of the layer below
  noise 256 >"$layers/weights/opt/model/weights.bin"
  mkdir -p "$layers/tools/opt"
  noise 24 >"$layers/tools/opt/tools.bin"
  mkdir -p "$layers/model/opt/model"
  noise 3 >"$layers/model/opt/model/model.bin"
  local tree
  for tree in base-amd64 base-arm64 files weights tools model; do layer "$layers/$tree"; done

  cp -a "$layers/base-amd64/." "$layers/files/." "$layers/weights/." "$rootfs"
  rm "$rootfs/etc/hostname" "$rootfs/etc/.wh.hostname"
  describe_tree "$rootfs" >"$FIXTURES/rootfs.tree"

  local app=$NEW/library/app tools=$OLD/org/tools small=$NEW/library/small architecture
  image "$app" amd64 --oci-empty-base "$layers"/{base-amd64,files,weights}.tar.gz
  image "$app" arm64 --oci-empty-base "$layers"/{base-arm64,files}.tar.gz
  crane index append -m "$app:amd64" -m "$app:arm64" -t "$app:1" >/dev/null
  image "$tools" amd64 "" "$layers"/{base-amd64,tools}.tar.gz
  image "$tools" arm64 "" "$layers"/{base-arm64,tools}.tar.gz
  crane index append --docker-empty-base -m "$tools:amd64" -m "$tools:arm64" -t "$tools:1" >/dev/null

  for architecture in amd64 arm64; do
    image "$small" "$architecture" --oci-empty-base "$layers"/{"base-$architecture",model,files}.tar.gz
  done
  crane index append -m "$small:amd64" -m "$small:arm64" -t "$small:1" >/dev/null

  describe app "$app"
  describe tools "$tools"
  describe small "$small"
  # As crane writes it, its layout's index names the images and not their index.
  regctl --host "reg=$NEW,tls=disabled" image copy "$small:1" "ocidir://$FIXTURES/small.oci:1"
  upstreams_down
  rm -rf "$layers" "$rootfs"
}

# A small file system made of this machine's own files, with links, modes and a name that is not ASCII.
base_tree() { # ARCHITECTURE DIR
  local dir=$2
  mkdir -p "$dir"/{bin,etc,tmp,usr/share}
  cp -rL /usr/share/common-licenses "$dir/usr/share/licences"
  cp "$(command -v find)" "$dir/bin/find"
  chmod 4755 "$dir/bin/find"
  ln -s find "$dir/bin/search"
  ln "$dir/bin/find" "$dir/bin/find-too"
  chmod 1777 "$dir/tmp"
  echo "$1" >"$dir/etc/architecture"
  echo first >"$dir/etc/motd"
  echo gone >"$dir/etc/hostname"
  echo smørrebrød >"$dir/usr/share/smørrebrød"
}

# So many MiB that no compression shrinks, the same ones each time.
noise() { head -c "$1M" /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null; }

layer() { # DIR, into DIR.tar.gz
  tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . | gzip -n1 >"$1.tar.gz"
}

image() { # REPOSITORY ARCHITECTURE BASE-OPTION LAYER…
  local repository=$1 architecture=$2 option=$3 file files=()
  shift 3
  for file in "$@"; do files+=(-f "$file"); done
  crane append ${option:+"$option"} "${files[@]}" -t "$repository:$architecture" >/dev/null
  crane mutate --set-platform "linux/$architecture" --entrypoint /bin/find -t "$repository:$architecture" "$repository:$architecture" >/dev/null
}

describe() { # NAME REPOSITORY
  local name=$1 repository=$2 architecture
  crane manifest "$repository:1" >"$FIXTURES/$name.index"
  for architecture in amd64 arm64; do
    crane manifest --platform "linux/$architecture" "$repository:1" >"$FIXTURES/$name.$architecture.manifest"
    jq -r '.config, .layers[] | "\(.digest) \(.size)"' "$FIXTURES/$name.$architecture.manifest" | sort >"$FIXTURES/$name.$architecture"
  done
  sort -u "$FIXTURES/$name.amd64" "$FIXTURES/$name.arm64" >"$FIXTURES/$name.all"
  comm -13 "$FIXTURES/$name.amd64" "$FIXTURES/$name.arm64" >"$FIXTURES/$name.arm64-only"
}
