"""What cart-service does: keeps carts, shows them with prices, and turns them into orders."""
