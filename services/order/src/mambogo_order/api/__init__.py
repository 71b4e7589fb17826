"""How others reach order-service: HTTP operations and the events that it reads."""
