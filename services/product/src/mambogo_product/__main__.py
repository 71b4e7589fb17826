"""Runs product-service: `python -m mambogo_product`."""

from mambogo_chassis.service import Service

from mambogo_product.settings import Settings
from mambogo_product.wiring import NAME, TITLE, build

if __name__ == "__main__":
    service = Service.load(Settings, NAME)
    service.run(title=TITLE, routers=build(service))
