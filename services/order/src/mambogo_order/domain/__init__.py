"""What an order is and may become: no framework, no clock, no input or output."""
