"""The rules of stock and reservations: pure, without framework, database or clock."""
