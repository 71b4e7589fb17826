"""order-service: takes orders, and alone moves them from one state to the next."""
