"""What inventory-service's tests share."""
