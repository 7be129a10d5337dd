module esa-preload-operator/hack/tools/prometheus-operator

go 1.24

// For its CRDs: what the chart's monitors and rules must fit.
require github.com/prometheus-operator/prometheus-operator v0.85.0
