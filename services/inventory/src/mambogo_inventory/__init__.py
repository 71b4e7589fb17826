"""inventory-service: what is on hand, what is reserved for whom, what is sold."""
