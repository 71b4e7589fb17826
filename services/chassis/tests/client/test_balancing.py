"""Which instance a call goes to."""

from collections import Counter

from mambogo_chassis.client.balancing import Balancer
from mambogo_chassis.client.breaker import MIN_CALLS
from mambogo_chassis.client.budget import FULL, RetryBudget

URLS = ("http://a:1", "http://b:1", "http://c:1")


def balancer() -> Balancer:
    made = Balancer()
    made.update(URLS)
    return made


def test_idle_instances_take_turns() -> None:
    made = balancer()
    picked = Counter(instance.base_url for _ in range(30) if (instance := made.pick()) is not None)
    assert set(picked.values()) == {10}


def test_the_least_busy_is_chosen() -> None:
    made = balancer()
    for _ in range(2):
        busy = made.pick()
        assert busy is not None
        busy.in_flight += 1
    free = made.pick()
    assert free is not None
    assert free.in_flight == 0


def test_one_that_has_failed_this_call_is_tried_last() -> None:
    made = balancer()
    picked = made.pick(tried=URLS[:2])
    assert picked is not None
    assert picked.base_url == URLS[2]


def test_an_open_breaker_keeps_calls_away() -> None:
    made = balancer()
    sick = made.pick()
    assert sick is not None
    for _ in range(MIN_CALLS):
        sick.breaker.failed()
    assert sick.base_url not in {instance.base_url for _ in range(9) if (instance := made.pick()) is not None}
    assert made.open_breakers() == 1


def test_with_every_breaker_open_there_is_none() -> None:
    made = balancer()
    for url in URLS:
        made.update([url])
        instance = made.pick()
        assert instance is not None
        for _ in range(MIN_CALLS):
            instance.breaker.failed()
        assert made.pick() is None


def test_what_is_known_of_an_instance_survives_an_update() -> None:
    made = balancer()
    first = made.pick()
    assert first is not None
    first.in_flight = 7
    made.update([*URLS, "http://d:1"])
    assert 7 in {instance.in_flight for instance in made._instances.values()}


def test_retries_are_at_most_a_tenth_of_the_calls() -> None:
    budget = RetryBudget(tokens=0.0)
    retries = 0
    for _ in range(1000):
        budget.deposit()
        retries += budget.withdraw()
    assert 95 <= retries <= 100


def test_an_idle_service_may_retry_a_little() -> None:
    budget = RetryBudget()
    assert sum(budget.withdraw() for _ in range(100)) == int(FULL)
