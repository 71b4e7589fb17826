"""What breaks a copy: programs that draw a place, and patches. None of them knows what finds it."""
