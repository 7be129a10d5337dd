"""The ESA adapter: the only place that talks to ESA."""
