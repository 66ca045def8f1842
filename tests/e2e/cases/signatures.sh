# What is signed at a real registry is signed through wharf, and never looks unsigned. Sourced by `run`.

# Distribution 3 cannot list referrers: regctl keeps them under a tag there, and hears of them from wharf by the API.
case_referrers_of_a_mirror() {
  signed_image
  wharf_config "$NEW" 127.0.0.1:1
  wharf_up
  regctl registry set --tls disabled "$WHARF"
  local there=$NEW/library/small here=$WHARF/docker.io/library/small listed
  equal "the registry's own status" "$(status "http://$NEW/v2/library/small/referrers/$SUBJECT")" 404
  skopeo_by_path small "$WORK/small"
  listed=$(artifacts "$there:1")
  equal "referrers at the registry" "$(cut -d' ' -f2 <<<"$listed" | xargs)" "$NOTATION $COSIGN"
  equal "referrers through wharf" "$(artifacts "$here:1")" "$listed"
  equal "those of one type" "$(artifacts "$here:1" --filter-artifact-type "$COSIGN")" "$(grep "$COSIGN" <<<"$listed")"
  equal "signature by its type" "$(regctl artifact get --subject "$here:1" --filter-artifact-type "$NOTATION")" "by notation"
  equal "signature by cosign's tag" "$(regctl artifact get "$here:${SUBJECT/:/-}.sig")" "by cosign's tag"
  equal "referrers of what is not signed" "$(artifacts "$here@$UNSIGNED")" ""
  # One more, of which only the registry knows: the list is asked for again.
  sign_as application/spdx+json 'an SBOM' application/spdx+json --subject "$there:1"
  listed=$(artifacts "$there:1")
  equal "referrers after a third one" "$(artifacts "$here:1")" "$listed"
  # Without the registry what was listed still is, with what it names; what was not, or was empty, is an error soon.
  stop new || true
  equal "referrers without the registry" "$(artifacts "$here:1")" "$listed"
  curl -sSf -o /dev/null -D "$WORK/head" "http://$WHARF/v2/docker.io/library/small/referrers/$SUBJECT"
  grep -qi '^warning: 299' "$WORK/head" || fail "$(cat "$WORK/head")"
  equal "signature without the registry" "$(regctl artifact get --subject "$here:1" --filter-artifact-type "$NOTATION")" "by notation"
  equal "cosign's without the registry" "$(regctl artifact get "$here:${SUBJECT/:/-}.sig")" "by cosign's tag"
  unknown() { [[ $(status "http://$WHARF/v2/docker.io/library/small/referrers/$1") == 502 ]]; }
  unknown "$UNASKED" || fail "what nobody asked about looks unsigned"
  until_true unknown "$UNSIGNED" # that there is nothing is remembered for ten seconds
  if artifacts "$here@$UNSIGNED"; then fail "regctl takes an error for an empty list"; fi
}

# --- the signatures --------------------------------------------------------------------------------------------------

NOTATION=application/vnd.cncf.notary.signature
COSIGN=application/vnd.dev.cosign.artifact.sig.v1+json

# The new upstream with library/small:1, whose index SUBJECT is signed as notation does it and in both of cosign's ways; its
# platforms UNSIGNED and UNASKED are not.
signed_image() {
  NEW=127.0.0.1:$(free_port)
  registry_up new registry "$NEW" "$WORK/registry"
  export REGCTL_CONFIG=$WORK/regctl.json
  regctl registry set --tls disabled "$NEW"
  local image=$NEW/library/small simple=application/vnd.dev.cosign.simplesigning.v1+json
  regctl image copy "ocidir://$FIXTURES/small.oci:1" "$image:1"
  SUBJECT=$(digest_of "$FIXTURES/small.index")
  UNSIGNED=$(digest_of "$FIXTURES/small.amd64.manifest")
  UNASKED=$(digest_of "$FIXTURES/small.arm64.manifest")
  sign_as "$NOTATION" 'by notation' application/jose+json --subject "$image:1" --annotation io.example.thumbprint=5e1f
  sign_as "$COSIGN" 'by cosign' "$simple" --subject "$image:1" --annotation io.example.thumbprint=5e1f
  sign_as '' "by cosign's tag" "$simple" --config-type application/vnd.oci.image.config.v1+json "$image:${SUBJECT/:/-}.sig"
}

sign_as() { # ARTIFACT-TYPE PAYLOAD MEDIA-TYPE WHERE…
  printf %s "$2" | regctl artifact put ${1:+--artifact-type "$1"} --file-media-type "$3" "${@:4}"
}

# Digest, type and annotations of each that is about IMAGE.
artifacts() { # IMAGE OPTION…
  regctl artifact list "$@" --format '{{range .Descriptors}}{{println .Digest .ArtifactType .Annotations}}{{end}}' | sort
}
