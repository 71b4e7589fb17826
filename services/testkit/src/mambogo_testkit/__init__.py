"""Real dependencies for tests: one set of containers per run, a part of its own for each test.

The fixtures are in `plugin`; these are the types that they give to tests.
"""

from mambogo_testkit.dependencies.config_server import ConfigServer, ConfigSpace
from mambogo_testkit.dependencies.eureka import EurekaApps, EurekaServer
from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace
from mambogo_testkit.dependencies.keycloak import KeycloakServer
from mambogo_testkit.dependencies.postgres import Database, PostgresServer
from mambogo_testkit.dependencies.redis import RedisServer, RedisSpace
from mambogo_testkit.errors import TestkitError
from mambogo_testkit.realms import Client, Realm, User

__all__ = [
    "Client",
    "ConfigServer",
    "ConfigSpace",
    "Database",
    "EurekaApps",
    "EurekaServer",
    "KafkaBroker",
    "KeycloakServer",
    "PostgresServer",
    "Realm",
    "RedisServer",
    "RedisSpace",
    "TestkitError",
    "TopicSpace",
    "User",
]
