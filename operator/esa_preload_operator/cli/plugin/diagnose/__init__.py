"""`diagnose`: gathers facts by kubectl, judges them, and packs what a maintainer needs."""

from esa_preload_operator.cli.plugin.diagnose.command import diagnose

__all__ = ["diagnose"]
