#!/usr/bin/env bash
# Pushes and signs what hack/build-release.sh has put into dist/: the image, the chart, and a release with the other files.
# Runs nothing of the project itself. Needs skopeo, helm, cosign (keyless: an identity that GitHub's workflow has) and gh, logged in.
#   TAG=v1.2.3 IMAGE=registry/name CHARTS=oci://registry/charts hack/publish.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export TAG="${TAG:?names the tag}" IMAGE="${IMAGE:?names the image, without a tag}"
: "${CHARTS:?says where the chart goes, as oci://registry/folder}"
version="${TAG#v}"
chart="dist/esa-preload-operator-$version.tgz"
IMAGE="${IMAGE,,}" CHARTS="${CHARTS,,}"  # a repository's name may have capitals, an image's may not

fail() {
  echo "publish: $1" >&2
  exit 1
}

# Whatever can be refused is refused before anything is pushed.
[ -s dist/image.tar ] && [ -s "$chart" ] || fail "dist/ lacks the image or the chart of $version: make release-build makes them"
(cd dist && sha256sum --check --strict --quiet SHA256SUMS) || fail 'the files in dist/ are not those of SHA256SUMS'
digest=$(<dist/image.digest)
grep -qF "$IMAGE:$version@$digest" dist/install.yaml || fail "install.yaml names another image than $IMAGE:$version@$digest"

skopeo copy --all --preserve-digests oci-archive:dist/image.tar "docker://$IMAGE:$version"
cosign sign --yes "$IMAGE@$digest"
pushed=$(helm push "$chart" "$CHARTS" 2>&1 | tee /dev/stderr | sed -n 's/^Digest: //p')
cosign sign --yes "${CHARTS#oci://}/esa-preload-operator@${pushed:?helm did not say which digest the chart has}"
cosign sign-blob --yes --bundle dist/SHA256SUMS.sigstore.json dist/SHA256SUMS
mapfile -t files < <(sed 's|^[^ ]*  |dist/|' dist/SHA256SUMS)
gh release create "$TAG" --verify-tag --title "$TAG" --notes-file dist/notes.md \
  "${files[@]}" dist/SHA256SUMS dist/SHA256SUMS.sigstore.json
