"""What payment-service's tests share."""
