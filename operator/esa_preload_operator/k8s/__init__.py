"""The Kubernetes adapter: the only place that knows the kubernetes client."""
