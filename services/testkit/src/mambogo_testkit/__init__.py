"""Real dependencies for tests: one set of containers per run, a part of its own for each test.

The fixtures are in `plugin`; these are the types that they give to tests.
"""

from mambogo_testkit.dependencies.kafka import KafkaBroker, TopicSpace
from mambogo_testkit.dependencies.postgres import Database, PostgresServer
from mambogo_testkit.dependencies.redis import RedisServer, RedisSpace
from mambogo_testkit.errors import TestkitError

__all__ = [
    "Database",
    "KafkaBroker",
    "PostgresServer",
    "RedisServer",
    "RedisSpace",
    "TestkitError",
    "TopicSpace",
]
