"""The shop as its clients see it: operations through the gateway, tokens, and a history of both."""
