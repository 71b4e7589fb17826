"""payment-service: each order's money taken once, given back once, and every doubt asked about."""
