"""The service's clock: it follows the wall clock, and with its own speed it never goes back."""

import pytest

from streams.clock import Clock

NOW = 1_800_000_000_000_000


class WallClock:
    """A wall clock that can be set."""

    def __init__(self):
        self.us = NOW

    def __call__(self):
        return self.us


@pytest.mark.parametrize("by", [3_600_000_000, -3_600_000_000, 86_400_000_000 * 500])
def test_it_follows_a_wall_clock_that_is_set(by):
    wall = WallClock()
    clock = Clock(wall=wall)
    wall.us += by
    assert clock.now() == NOW + by
    assert clock.apart() == 0


def test_a_faster_one_keeps_its_pace_and_tells_how_far_it_is_ahead():
    wall = WallClock()
    clock = Clock(speed=60.0, wall=wall)
    clock.advance_to(NOW + 7_200_000_000)
    wall.us -= 3_600_000_000
    assert clock.now() >= NOW + 7_200_000_000
    assert clock.apart() >= 10_800_000_000
    assert not clock.follows_wall
