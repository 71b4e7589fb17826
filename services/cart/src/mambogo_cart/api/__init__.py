"""The HTTP operations of cart-service."""
