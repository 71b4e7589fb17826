"""cart-service: one cart per user, and the way from a cart to an order."""
