"""Helpers of the tests: product-service and order-service to play, and cart-service without a server."""
