#!/bin/sh
# Hands a list of URLs that the build has made to the job front-page: one URL a line, lines that begin with # do not count. Apply job.yaml
# and rbac.yaml first; then, in the namespace of kubectl's context,
#
#   sh publish.sh urls.txt
#
# The list is in the file's ConfigMap as it is, with at most 10,000 URLs and 1 MiB. It is the pipeline's alone: leave it out of Git.
set -eu

if [ $# -ne 1 ]; then
  echo "usage: publish.sh FILE" >&2
  exit 2
fi
kubectl create configmap front-page-urls --from-file=list.txt="$1" --dry-run=client --output=yaml |
  kubectl apply --server-side --field-manager=pipeline --force-conflicts --filename=-
