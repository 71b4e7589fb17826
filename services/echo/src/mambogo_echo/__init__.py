"""A service that says which pod answers and which source it runs."""
