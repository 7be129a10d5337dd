#!/bin/sh
# Resets one job and waits for the outcome: the last step of a pipeline, once the new content is public. Apply rbac.yaml first; then
#
#   sh reset.sh front-page "deploy-$CI_PIPELINE_ID" 10m
#
# It needs kubectl alone, and works in the namespace of kubectl's context. A token asks once, so a pipeline that is run again with the same
# one makes no second reset. It has at most 256 bytes.
#
# Exit code: 0 the reset was made · 1 it failed · 2 the command line is wrong · 3 no outcome within the time, and the request stays.
# With Python on the runner, `kubectl esa-preload reset NAME --token TOKEN --wait` does the same, and says more.
set -eu

if [ $# -lt 2 ] || [ $# -gt 3 ] || [ -z "$1" ] || [ -z "$2" ] || [ "$(printf %s "$2" | wc -c)" -gt 256 ]; then
  echo "usage: reset.sh JOB TOKEN [TIMEOUT]; the token has 1 to 256 bytes" >&2
  exit 2
fi
job=scheduledpreloadjobs.esa.preload-operator.io/$1
token=$2
limit=${3:-10m}

kubectl annotate "$job" "esa.preload-operator.io/resetRequested=$token" --overwrite
if ! kubectl wait "$job" --timeout="$limit" \
  --for="jsonpath={.status.handledResets.esa\.preload-operator\.io/resetRequested}=$token"; then
  echo "reset.sh: no outcome within $limit; the request stays" >&2
  kubectl get "$job" --output='jsonpath={.status.conditions[?(@.type=="Ready")].message}{"\n"}' >&2
  exit 3
fi

phase=$(kubectl get "$job" --output='jsonpath={.status.reset.phase}')
case $phase in
  Failed | Withdrawn)
    echo "reset.sh: $phase" >&2
    kubectl get "$job" --output='jsonpath={.status.reset.message}{"\n"}' >&2
    exit 1
    ;;
esac
echo "reset.sh: $phase" # Replaced: a new job did the work. Another word belongs to a later request: this one is done.
