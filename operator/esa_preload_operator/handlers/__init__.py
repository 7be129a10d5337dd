"""kopf in, work queue out: the only place that knows kopf."""
