#!/usr/bin/env bash
# Publishes the commit of a tag: the image for two architectures, the files of the release with the image's digest in
# them, and the chart. Needs docker with buildx, and gh, both logged in.
#   TAG=v1.2.3 IMAGE=registry/name CHARTS=oci://registry/charts [SOURCE=address of the repository] PYTHON=… hack/publish.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export TAG="${TAG:?names the tag}" IMAGE="${IMAGE:?names the image, without a tag}" SOURCE="${SOURCE:-}"
: "${CHARTS:?says where the chart goes, as oci://registry/folder}"
base=docker.io/library/debian:13-slim
version="${TAG#v}"
IMAGE="${IMAGE,,}" CHARTS="${CHARTS,,}"  # a repository's name may have capitals, an image's may not
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "publish: $1" >&2
  exit 1
}

# Whatever can be refused is refused before anything is pushed.
[ -z "$(git status --porcelain)" ] || fail 'there are changes that are not committed'
[ "$(git rev-parse "refs/tags/$TAG^{commit}")" = "$(git rev-parse HEAD)" ] || fail "$TAG is not what is checked out"
awk -v wanted="## [$version]" '/^## / {within = index($0, wanted) == 1; next} within' CHANGELOG.md >"$work/notes"
grep -q '[^[:space:]]' "$work/notes" || fail "CHANGELOG.md has nothing on $version"
"$PYTHON" hack/release.py --tag "$TAG" --image "$IMAGE" --home "$SOURCE" "$work/trial" >/dev/null

entry() { "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# The newest base: what it was stands in the image's provenance.
docker buildx imagetools inspect "$base" --format '{{json .Manifest}}' >"$work/base"
epoch=$(git log -1 --format=%ct)
SOURCE_DATE_EPOCH=$epoch docker buildx build --platform linux/amd64,linux/arm64 --provenance mode=max --sbom true \
  --build-arg BASE="$base@$(entry digest <"$work/base")" \
  --build-arg VERSION="$version" \
  --build-arg REVISION="$(git rev-parse HEAD)" \
  --build-arg CREATED="$("$PYTHON" -c "import datetime as d; print(d.datetime.fromtimestamp($epoch, d.UTC).isoformat())")" \
  --build-arg SOURCE="${SOURCE:-unknown}" \
  --tag "$IMAGE:$version" --push --metadata-file "$work/image" .

"$PYTHON" hack/release.py --tag "$TAG" --image "$IMAGE" --home "$SOURCE" \
  --digest "$(entry containerimage.digest <"$work/image")"
helm=$("$PYTHON" hack/tools/tools.py helm4)
"$helm" push "dist/esa-preload-operator-$version.tgz" "$CHARTS"
mapfile -t files < <(sed 's|^[^ ]*  |dist/|' dist/SHA256SUMS)
gh release create "$TAG" --verify-tag --title "$TAG" --notes-file "$work/notes" "${files[@]}" dist/SHA256SUMS
