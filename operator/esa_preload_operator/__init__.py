"""Kubernetes operator for the scheduled preload jobs of Alibaba Cloud ESA: one request, one reset."""
