"""The ESA adapter: the only place that knows httpx."""
