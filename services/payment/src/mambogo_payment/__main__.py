"""`python -m mambogo_payment`."""

from mambogo_payment.main import main

main()
