"""Load: what is offered to the shop, whatever it answers, and what became of it."""
