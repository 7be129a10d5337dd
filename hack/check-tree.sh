#!/usr/bin/env bash
# Checks what no linter knows: rules about the files themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

complain() {
  echo "check-tree: $1" >&2
  failed=1
}

# A package named "operator" would shadow the standard library's module of that name.
if [[ -e operator/__init__.py ]]; then
  complain "operator/__init__.py must not exist"
fi

# Names of package registries, and paths of one machine, have no place in the tree. Letters in brackets keep this
# file from finding itself. Modules of Go are named by their host, so its module files are left out.
hosts='pypi[.]org|pythonhosted[.]or[g]|registry[.]npmjs|proxy[.]golang|index[-]url|find[-]links (/|http)|/ho[m]e/[a-z]|/ro[o]t/|/opt/wh[e]els'
if found=$(git grep -nIE "$hosts" -- ':!*go.sum' ':!*go.mod' ':!Makefile' ':!hack/check-tree.sh'); then
  complain "a registry's host name or a path of one machine:"$'\n'"$found"
fi

exit "$failed"
