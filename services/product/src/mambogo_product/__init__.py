"""product-service: the catalogue, its prices and their history."""
