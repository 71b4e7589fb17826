"""The edges of order-service: its tables, product-service, events and metrics."""
