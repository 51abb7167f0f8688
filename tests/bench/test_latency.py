"""Services whose errors jump: what is truly passed when, and how soon a release is held for it."""

from __future__ import annotations

from statistics import fmean

import pytest
from benchmarks.gate.failing import BEGIN, SCRAPE, SHARES, Failing, drawn, passed_after, scraped
from benchmarks.gate.latency import BURN, CAP, FLOOR, Delays, alerted, decided, figures
from benchmarks.month.ours import CYCLE

ONE = Failing("shop", share=0.5, jumps=BEGIN + 100.0, scraped=3.25)


@pytest.mark.parametrize(
    ("factor", "share", "seconds"),
    [(14.4, 1, 51.49), (14.4, 0.02, 2_586.9), (3.6, 1, 12.6), (1, 0.05, 64.93)],
)
def test_a_burn_rate_over_an_hour_is_passed_the_sooner_the_more_fails(factor, share, seconds):
    assert passed_after(factor, share) == pytest.approx(seconds, abs=0.05)


def test_errors_are_few_before_they_jump_and_the_share_afterwards():
    before, at, after = (ONE.counted(ONE.jumps + seconds) for seconds in (-1_000, 0, 1_000))
    assert (at[0] - before[0], at[1] - before[1]) == (100, 999_900)
    assert (after[0] - at[0], after[1] - at[1]) == (500_000, 500_000)


def test_the_same_seed_draws_the_same_phases():
    assert drawn(7, 3) == drawn(7, 3) != drawn(8, 3)


@pytest.mark.parametrize("seed", range(20))
def test_phases_are_spread_so_evenly_that_waiting_takes_its_mean(seed):
    """From any moment to the next scrape, and from there to the next cycle: 15 s in the mean."""
    services = drawn(seed, 40)
    assert [sum(one.share == share for one in services) for share in SHARES] == [40] * len(SHARES)
    for share in SHARES:
        waits = [_waited(one) for one in services if one.share == share]
        assert fmean(waits) == pytest.approx((SCRAPE + CYCLE) / 2, abs=0.9)
        assert max(waits) < SCRAPE + CYCLE


def _waited(one: Failing) -> float:
    to_scrape = (one.scraped - one.jumps) % SCRAPE
    return to_scrape + (BEGIN - one.jumps - to_scrape) % CYCLE


def delays(after: float) -> Delays:
    """Two decisions for each threshold and share: so long after it was passed, and 10 s later."""
    return {
        (passed, share): [passed_after(passed.factor, share) + more for more in (after, after + 10)]
        for passed in (BURN, FLOOR, CAP)
        for share in passed.shares
    }


def test_figures_count_from_the_moment_that_is_passed_and_of_the_cap_from_the_first_error():
    found = figures(delays(10), delays(30))
    of_cap = passed_after(CAP.factor, 1.0)
    assert [one.ours for one in found] == pytest.approx([15, 20, 15, 20, of_cap + 20])
    assert [one.theirs for one in found] == pytest.approx([35, 40, 35, 40, of_cap + 40])
    assert all(one.holds for one in found)
    assert not any(one.holds for one in figures(delays(32), delays(0)))


@pytest.mark.servers
@pytest.mark.slow
def test_every_release_is_held_after_the_next_scrape_and_the_next_cycle(tmp_path):
    services = [one for one in drawn(1, 2) if one.share >= 0.5]
    with scraped(services, BEGIN - 6 * 3_600, BEGIN).served(tmp_path) as url:
        ours, rule = decided(url, services), alerted(url, services)
    assert ours.keys() == rule.keys()
    for (passed, share), found in ours.items():
        for delay in found:
            late = delay - passed_after(passed.factor, share)
            assert -1 <= late <= SCRAPE + CYCLE + 1, (passed.name, share)
