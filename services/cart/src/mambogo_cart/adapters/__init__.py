"""The edges of cart-service: Redis, product-service, order-service and metrics."""
