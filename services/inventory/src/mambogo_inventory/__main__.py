"""`python -m mambogo_inventory`."""

from mambogo_inventory.main import main

main()
