"""product-service over HTTP."""
