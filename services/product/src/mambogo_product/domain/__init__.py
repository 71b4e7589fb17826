"""What a product is, and what may be done to it; knows no database, no cache and no HTTP."""
