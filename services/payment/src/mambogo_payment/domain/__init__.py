"""The rules of payments: pure, without framework, database, network or clock."""
