"""Settings, work queue, metrics, health, and the one place where everything is put together."""
