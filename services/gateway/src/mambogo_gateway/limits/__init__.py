"""Rate limits: token buckets shared by all gateways through Redis, spent locally."""
