"""What a cart is and what it asks to be ordered: no framework, no clock, no input or output."""
