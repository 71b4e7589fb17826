"""What order-service does: places orders, moves them, and drives those on that wait."""
