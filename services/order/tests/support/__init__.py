"""Helpers of the tests: a product-service to play, order-service without a server, and events to tell it."""
