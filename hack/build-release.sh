#!/usr/bin/env bash
# Builds what a tag publishes, and needs no right to publish it: the image for two architectures as an OCI archive, and the
# files of the release with the image's digest in them, all in dist/. Needs docker with buildx.
#   TAG=v1.2.3 IMAGE=registry/name [SOURCE=address of the repository] PYTHON=… hack/build-release.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export TAG="${TAG:?names the tag}" IMAGE="${IMAGE:?names the image, without a tag}" SOURCE="${SOURCE:-}"
base=docker.io/library/debian:13-slim
version="${TAG#v}"
IMAGE="${IMAGE,,}"  # a repository's name may have capitals, an image's may not
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "build-release: $1" >&2
  exit 1
}

# Whatever can be refused is refused before anything is built.
[ -z "$(git status --porcelain)" ] || fail 'there are changes that are not committed'
[ "$(git rev-parse "refs/tags/$TAG^{commit}")" = "$(git rev-parse HEAD)" ] || fail "$TAG is not what is checked out"
awk -v wanted="## [$version]" '/^## / {within = index($0, wanted) == 1; next} within' CHANGELOG.md >"$work/notes.md"
grep -q '[^[:space:]]' "$work/notes.md" || fail "CHANGELOG.md has nothing on $version"
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
  --output "type=oci,dest=$work/image.tar" --metadata-file "$work/image" .
entry containerimage.digest <"$work/image" >"$work/image.digest"

"$PYTHON" hack/release.py --tag "$TAG" --image "$IMAGE" --home "$SOURCE" --digest "$(<"$work/image.digest")"
mv "$work/image.tar" "$work/image.digest" "$work/notes.md" dist/
