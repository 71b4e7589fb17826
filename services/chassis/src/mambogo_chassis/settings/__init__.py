"""Settings of a service: environment over Spring Config Server over defaults.

`loading.load_settings` is what a service calls at start; `refreshing.LiveSettings` holds what is in force and
takes changes over. Which settings exist is said by each service's own subclass of `model.ServiceSettings`.
"""

from mambogo_chassis.settings.loading import LoadReport, SettingsError, load_settings
from mambogo_chassis.settings.model import ServiceSettings, refreshable
from mambogo_chassis.settings.refreshing import LiveSettings

__all__ = ["LiveSettings", "LoadReport", "ServiceSettings", "SettingsError", "load_settings", "refreshable"]
