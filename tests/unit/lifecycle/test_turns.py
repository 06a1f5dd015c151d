"""The order of turns: retries, then uploads, then bulk; but none of them starves, and bulk leaves a reserve."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.lifecycle.turns import ROUND, Limits, Turn, limits_of, next_turn, turns_in_order

ROUNDS = 10_000
FREE = Limits(total=100, bulk=55)
turns = st.sampled_from(Turn)


@given(st.integers(0, 10**9))
def test_each_turn_comes_first_in_every_round_when_grants_are_numbered(granted: int) -> None:
    orders = [turns_in_order(granted + number) for number in range(ROUND)]
    first = Counter(order[0] for order in orders)
    assert first == {Turn.RETRY: 6, Turn.UPLOAD: 1, Turn.BULK: 1}
    assert all(set(order) == set(Turn) for order in orders)


@given(st.sets(turns), st.integers(0, 1000), st.integers(0, 120))
def test_turn_is_served_only_when_it_waits_and_has_room(waiting: set[Turn], granted: int, live: int) -> None:
    turn = next_turn(granted=granted, live=live, limits=FREE, is_waiting=waiting.__contains__)
    assert turn is None or turn in waiting
    if live >= FREE.total:
        assert turn is None
    elif waiting - {Turn.BULK}:
        assert turn is not None
    elif live >= FREE.bulk:
        assert turn is None or turns_in_order(granted)[0] is Turn.BULK


def test_upload_and_retry_precede_bulk_when_all_wait() -> None:
    served = [next_turn(granted=n, live=0, limits=FREE, is_waiting=lambda _: True) for n in range(3)]
    assert served == [Turn.RETRY] * 3
    without_retries = {Turn.UPLOAD, Turn.BULK}.__contains__
    assert next_turn(granted=0, live=0, limits=FREE, is_waiting=without_retries) is Turn.UPLOAD


def test_backlog_is_not_read_when_bulk_has_no_room() -> None:
    asked: list[Turn] = []
    assert next_turn(granted=0, live=FREE.bulk, limits=FREE, is_waiting=lambda t: bool(asked.append(t))) is None
    assert asked == [Turn.RETRY, Turn.UPLOAD]


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", range(5))
def test_no_turn_starves_when_all_others_never_end(seed: int) -> None:
    chance = random.Random(seed)
    live, granted = 0, 0
    last_served = dict.fromkeys(Turn, 0)
    for _ in range(ROUNDS):
        live -= sum(chance.random() < 0.1 for _ in range(live))
        while turn := next_turn(granted=granted, live=live, limits=FREE, is_waiting=lambda _: True):
            assert granted - last_served[turn] <= ROUND
            live, granted = live + 1, granted + 1
            last_served[turn] = granted
        assert live == FREE.total
    assert granted > ROUNDS
    assert all(granted - at <= ROUND for at in last_served.values())


@given(st.integers(1, 100_000))
def test_bulk_leaves_a_reserve_when_the_limit_is_any_number(max_in_batch: int) -> None:
    limits = limits_of(max_in_batch=max_in_batch)
    assert limits.total == max_in_batch
    assert 1 <= limits.bulk <= max(1, max_in_batch - 1)
    assert limits.bulk >= max_in_batch // 2


@pytest.mark.parametrize(("max_in_batch", "bulk"), [(1, 1), (2, 1), (3, 2), (16, 9), (288, 158)])
def test_bulk_gets_what_the_queue_runs_and_a_tenth_when_it_is_large(max_in_batch: int, bulk: int) -> None:
    assert limits_of(max_in_batch=max_in_batch).bulk == bulk
