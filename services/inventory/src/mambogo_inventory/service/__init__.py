"""What the service does, in transactions: placing, confirming, giving back, expiring, stocking."""
