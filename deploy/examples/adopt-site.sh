#!/bin/sh
# Adopts all jobs of a site that no resource manages yet: one resource for each, with its id. Nothing is changed in ESA, and adopted jobs are
# never deleted there. Run it again for jobs that were made since. It needs `kubectl esa-preload` from pip, and a Secret with the access key:
#
#   kubectl create secret generic -n website esa-credentials --from-literal=accessKeyId=… --from-literal=accessKeySecret=…
#   sh adopt-site.sh 190007158391808 website
#
# ENDPOINT is `china` (default), `international` or a URL, as for the operator; SECRET names another Secret.
set -eu

if [ $# -ne 2 ]; then
  echo "usage: adopt-site.sh SITE NAMESPACE" >&2
  exit 2
fi
resources=$(kubectl esa-preload adopt --site "$1" --namespace "$2" \
  --credentials-secret "${SECRET:-esa-credentials}" --endpoint "${ENDPOINT:-china}")
if [ -n "$resources" ]; then
  printf '%s\n' "$resources" | kubectl apply --filename=-
fi
