"""A stand-in for Alibaba Cloud ESA's scheduled preload API: the same wire format, no account, faults on request."""

from esa_simulator.server import Simulator

__all__ = ["Simulator"]
