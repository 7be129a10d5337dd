"""In which order things are done: reset, refresh, reconcile."""
