"""Few descriptors are left: new callers are told so, and those who are served go on."""

import os
import resource
from collections.abc import Iterator

import pytest

from parley.serve.descriptors import LEAST, Descriptors, raised


@pytest.fixture
def taken() -> Iterator[list[int]]:
    held: list[int] = []
    yield held
    for number in held:
        os.close(number)


def test_what_is_kept_free_grows_with_what_there_is(taken: list[int]) -> None:
    taken.append(os.dup(0))
    free = taken[0] + 1
    assert not Descriptors(free + 100).scarce()
    assert Descriptors(free + LEAST).scarce()
    assert not Descriptors(free + LEAST + 40).gone()
    few = Descriptors(free + LEAST + 20)
    assert not few.scarce()
    while not few.scarce():
        taken.append(os.dup(0))
    assert not few.gone()
    while not few.gone():
        taken.append(os.dup(0))
    assert len(taken) <= LEAST + 20
    os.close(taken.pop(0))
    assert not few.scarce()


def test_when_there_is_none_left_it_is_known(taken: list[int]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = os.dup(0)
    os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        every = Descriptors(number)
        assert every.scarce()
        assert every.gone()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_is_raised_to_what_is_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert raised() == min(hard if hard != resource.RLIM_INFINITY else 65_536, 65_536)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (raised(), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
