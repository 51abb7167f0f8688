"""Budgets from ledgers, over a real Prometheus, beside brute force over what was scraped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from penstock.domain.bucket_ring import BucketState
from penstock.domain.decision import DecisionPoint, SloEvidence
from penstock.domain.effective_policy import resolve_policy
from penstock.domain.evidence import CountUnit, EventCounts, Evidence, EvidenceKind
from penstock.domain.indicator import Indicator, QueryIndicator
from penstock.domain.policy import BurnPair, Policy
from penstock.domain.quantities import Duration, Percentage
from penstock.domain.slo import RatioTimeslices, Slo, Timeslices
from penstock.domain.thresholds import breach_reason, split_migration, with_usable_evidence
from penstock.domain.verdict import Reason
from penstock.domain.window import CalendarWindow, Period
from support.history import NOW
from support.indicators import ratio
from support.ledger_fixture import END, LOOKS, THEN, LedgerFixture, Shop
from support.measuring import Meter, slo
from support.scrapes import Scrapes, Target, series

pytestmark = pytest.mark.servers

BAD = 'http_requests_total{code="500"}'
ALL = "http_requests_total"
DAY = timedelta(days=1)
FIVE = timedelta(minutes=5)


def availability(name: str = "availability", window: str = "1d", objective: str = "95%") -> Slo:
    return slo(name, ratio(BAD, ALL), window=window, objective=objective)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop().serve()


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """For tests in which no time passes."""
    with Shop().serve().served(tmp_path_factory.mktemp("shop")) as (url, _):
        yield url


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as found:
        yield found


@pytest.fixture
def books(meter: Meter, at_rest: str) -> LedgerFixture:
    return LedgerFixture(meter, at_rest, Scrapes())


@pytest.fixture
def moving(meter: Meter, tmp_path: Path) -> Iterator[LedgerFixture]:
    """For tests in which time goes on."""
    with Shop().serve().served(tmp_path) as (url, to_come):
        yield LedgerFixture(meter, url, to_come)


def filled(books: LedgerFixture, *slos: Slo, at: datetime = THEN) -> LedgerFixture:
    books.measure(slos, at)
    books.keep_up(at)
    return books


def assert_about(evidence: Evidence, expected: tuple[Decimal, Decimal]) -> None:
    """The hour that a window of a day cuts counts by its share."""
    for found, true in zip(whole(evidence), expected, strict=True):
        assert float(found) == pytest.approx(float(true), rel=0.005)


def crashing() -> Shop:
    """A pod that begins anew every 25 minutes, and is not there for a scrape or two.

    Last a quarter of an hour before THEN: what is not closed yet is read by increase.
    """
    shop, draw = Shop(), random.Random(7)
    last = (THEN - NOW).total_seconds() - 900
    target = Target(shop.scrapes, {"job": "shop", "instance": "pod"})
    started, value, seen = -200_000.0, 50_000.0, 50_000.0
    for at in map(float, range(int(END) - 32 * 3_600, int(END), 15)):
        if (at - last) % 1_500 < 30:
            target.fails(at)
            started, value = at, 0.0
            continue
        value += draw.randint(0, 30)
        target.answers(at, {series(ALL, code="200"): value}, started)
        shop.grown.append((at, "200", value - seen if value >= seen else value))
        seen = value
    return shop


def whole(evidence: Evidence) -> tuple[Decimal, Decimal]:
    assert evidence.kind is EvidenceKind.FRESH, evidence
    assert evidence.reading is not None
    return evidence.reading.window_counts.bad, evidence.reading.window_counts.total


class TestFilled:
    def test_at_first_burn_rates_are_there_and_no_budget(
        self, books: LedgerFixture, shop: Shop
    ) -> None:
        evidence = books.measure([availability()], THEN)["availability"]
        assert (evidence.kind, evidence.detail) == (EvidenceKind.WARMING_UP, "Backfilling 0%")
        assert evidence.reading is not None
        assert evidence.reading.remaining is None
        for burn_window in LOOKS:
            count = evidence.reading.burn_windows[burn_window]
            start = THEN - timedelta(milliseconds=burn_window.milliseconds)
            bad, total = shop.true(start, THEN)
            assert float(count.total) == pytest.approx(float(total), rel=0.02)
            assert float(count.bad) == pytest.approx(float(bad), rel=0.1)

    def test_its_window_is_what_brute_force_says_to_the_event(
        self, books: LedgerFixture, shop: Shop
    ) -> None:
        evidence = filled(books, availability()).measure([availability()], THEN)["availability"]
        assert whole(evidence) == shop.true(THEN - DAY, THEN)
        assert evidence.reading is not None
        assert evidence.reading.coverage == 1
        for burn_window in LOOKS:
            start = THEN - timedelta(milliseconds=burn_window.milliseconds)
            assert evidence.reading.burn_windows[burn_window] == EventCounts(
                *shop.true(start, THEN)
            )

    def test_a_past_in_which_processes_crash_is_exact_too(
        self, meter: Meter, tmp_path: Path
    ) -> None:
        """Twice an hour, so that no hour as a whole could tell."""
        shop = crashing()
        with shop.served(tmp_path) as (url, _):
            books = filled(LedgerFixture(meter, url, Scrapes()), availability())
            evidence = books.measure([availability()], THEN)["availability"]
        assert whole(evidence) == shop.true(THEN - DAY, THEN)

    def test_progress_is_reported_while_the_past_is_read(self, books: LedgerFixture) -> None:
        slo = availability()
        books.measure([slo], THEN)
        books.keep_up(THEN, most=1)
        evidence = books.measure([slo], THEN)["availability"]
        assert evidence.kind in (EvidenceKind.WARMING_UP, EvidenceKind.FRESH)
        books.keep_up(THEN)
        assert books.measure([slo], THEN)["availability"].kind is EvidenceKind.FRESH

    def test_it_stays_exact_as_time_passes(self, moving: LedgerFixture, shop: Shop) -> None:
        slo, books = availability(), moving
        filled(books, slo)
        for step in range(1, 25):
            at = books.until(THEN + step * FIVE)
            evidence = books.measure([slo], at)["availability"]
            assert_about(evidence, shop.true(at - DAY, at))
            if at.minute == 0:
                assert whole(evidence) == shop.true(at - DAY, at)
            books.keep_up(at)

    def test_between_borders_what_is_open_is_added(self, moving: LedgerFixture, shop: Shop) -> None:
        slo, books = availability(), moving
        filled(books, slo)
        for seconds in (45, 105, 195, 270):
            at = books.until(THEN + timedelta(seconds=seconds))
            bad, total = whole(books.measure([slo], at, hot=False)["availability"])
            expected = shop.true(at - DAY, at)
            assert float(total) == pytest.approx(float(expected[1]), rel=0.001)
            assert float(bad) == pytest.approx(float(expected[0]), rel=0.01)

    def test_a_skipped_hour_is_made_up(self, moving: LedgerFixture, shop: Shop) -> None:
        slo, books = availability(), moving
        filled(books, slo)
        at = books.until(THEN + timedelta(minutes=55))
        books.keep_up(at)
        at = books.until(THEN + timedelta(minutes=60))
        assert whole(books.measure([slo], at)["availability"]) == shop.true(at - DAY, at)

    def test_one_that_is_far_behind_is_stale_until_it_has_caught_up(
        self, moving: LedgerFixture, shop: Shop
    ) -> None:
        slo, books = availability(), moving
        filled(books, slo)
        at = books.until(THEN + timedelta(minutes=70))
        evidence = books.measure([slo], at)["availability"]
        assert evidence.kind is EvidenceKind.STALE
        assert "is catching up" in evidence.detail
        books.keep_up(at)
        assert_about(books.measure([slo], at)["availability"], shop.true(at - DAY, at))


class TestKept:
    def test_a_restarted_operator_reads_no_past_again(
        self, moving: LedgerFixture, meter: Meter, shop: Shop
    ) -> None:
        slo, books = availability(), moving
        filled(books, slo)
        books.save_now()
        books.begin()
        before = meter.tally.samples
        at = books.until(THEN + 2 * FIVE)
        books.measure([slo], at)
        books.keep_up(at)
        evidence = books.measure([slo], at)["availability"]
        assert_about(evidence, shop.true(at - DAY, at))
        assert meter.tally.samples - before < 20_000

    @pytest.mark.parametrize("change", ["objective", "window"])
    def test_another_objective_or_a_shorter_window_reads_nothing_again(
        self, books: LedgerFixture, meter: Meter, shop: Shop, change: str
    ) -> None:
        filled(books, availability())
        before = meter.tally.samples
        assert books.keep_up(THEN) == 1
        assert meter.tally.samples == before
        other = (
            availability(objective="99%") if change == "objective" else availability(window="12h")
        )
        found = books.measure([other], THEN)["availability"]
        books.keep_up(THEN)
        asked = meter.tally.samples - before
        length = DAY if change == "objective" else DAY / 2
        assert whole(found) == shop.true(THEN - length, THEN)
        books.measure([availability()], THEN)
        assert meter.tally.samples - before == 2 * asked

    def test_slos_of_one_indicator_share_a_ledger(self, books: LedgerFixture, meter: Meter) -> None:
        filled(books, availability())
        requests = sum(meter.tally.requests.values())
        found = books.measure([availability(), availability("other", "6h", "90%")], THEN)
        assert {evidence.kind for evidence in found.values()} == {EvidenceKind.FRESH}
        assert sum(meter.tally.requests.values()) == requests + 1
        assert books.keep_up(THEN) == 1

    def test_buckets_are_read_again_and_sealed(self, moving: LedgerFixture) -> None:
        slo, books = availability(), moving
        filled(books, slo)
        (tracked,) = books.library.source_ledgers(books.source)
        fine = tracked.ledger.fine
        last = fine.end - 1
        assert fine.state(last) is BucketState.CLOSED
        for minutes, state in ((11, BucketState.REREAD), (66, BucketState.SEALED)):
            books.keep_up(books.until(THEN + timedelta(minutes=minutes)))
            assert fine.state(last) is state


class TestWindows:
    def test_a_calendar_period_begins_at_its_own_midnight(
        self, books: LedgerFixture, shop: Shop
    ) -> None:
        """Of zones around the world: how old the week is, the day of the run decides."""
        zones = ("Pacific/Auckland", "Asia/Kolkata", "Europe/Berlin", "America/Los_Angeles")
        windows = {name: CalendarWindow(Period.WEEK, ZoneInfo(name), name) for name in zones}
        slos = [
            slo(name.lower().replace("/", "-"), ratio(BAD, ALL), window=window, objective="95%")
            for name, window in windows.items()
        ]
        found = filled(books, *slos).measure(slos, THEN)
        for one, window in zip(slos, windows.values(), strict=True):
            evidence, start = found[one.ref.name], window.start(THEN)
            known = min(THEN - start, timedelta(hours=30))
            enough = known >= timedelta(hours=16, minutes=48)
            assert evidence.kind is (
                EvidenceKind.FRESH if enough else EvidenceKind.INSUFFICIENT_HISTORY
            )
            assert evidence.reading is not None
            expected = shop.true(max(start, THEN - timedelta(hours=30)), THEN)
            whole = evidence.reading.window_counts
            assert float(whole.total) == pytest.approx(float(expected[1]), rel=0.005)

    def test_of_a_month_a_day_is_enough_to_judge_what_is_known(
        self, books: LedgerFixture, shop: Shop
    ) -> None:
        slo = availability(window="30d")
        evidence = filled(books, slo).measure([slo], THEN)["availability"]
        assert_about(evidence, shop.true(THEN - timedelta(hours=30), THEN))
        assert evidence.reading is not None
        assert evidence.reading.coverage == pytest.approx(Decimal(30) / 720, rel=Decimal("0.01"))


def test_a_young_service_is_judged_by_its_burn_rates(meter: Meter, tmp_path: Path) -> None:
    """Six hours of a month."""
    young = Shop(hours=6).serve()
    with young.served(tmp_path) as (url, _):
        books = LedgerFixture(meter, url, Scrapes())
        slo = availability(window="30d")
        evidence = filled(books, slo).measure([slo], THEN)["availability"]
    assert evidence.kind is EvidenceKind.INSUFFICIENT_HISTORY
    assert evidence.detail == "6h of 30d is known; a budget needs 1d"
    assert evidence.reading is not None
    assert evidence.reading.burn_windows.keys() == set(LOOKS)


class TestSlices:
    def sliced(self, shop: Shop, minutes: int) -> list[tuple[Decimal, Decimal]]:
        step = timedelta(minutes=minutes)
        starts = [THEN - DAY + nth * step for nth in range(int(DAY / step))]
        return [shop.true(start, start + step) for start in starts]

    @pytest.mark.parametrize("minutes", [1, 5, 15])
    def test_bad_slices_of_all_slices(self, books: LedgerFixture, shop: Shop, minutes: int) -> None:
        target = Percentage.parse("97%")
        method = Timeslices(Duration.parse(f"{minutes}m"), target)
        one = slo("slices", ratio(BAD, ALL), window="1d", objective="50%", budgeting=method)
        filled(books, one)
        # What the last minutes hold is not closed yet.
        found = books.measure([one], THEN)["slices"]
        assert found.reading is not None
        assert found.reading.unit is CountUnit.SLICES
        slices = self.sliced(shop, minutes)
        closed = slices[: len(slices) - max(1, 5 // minutes)]
        limit = 1 - target.ratio.value
        bad = sum(total > 0 and wrong / total > limit for wrong, total in closed)
        assert float(found.reading.window_counts.bad) == pytest.approx(bad, abs=1)
        assert found.reading.window_counts.total == len(slices)
        assert found.reading.traffic is not None
        assert found.reading.traffic.total == shop.true(THEN - DAY, THEN)[1]

    def test_the_mean_of_the_slices_shares(self, books: LedgerFixture, shop: Shop) -> None:
        method = RatioTimeslices(Duration.parse("5m"))
        one = slo("mean", ratio(BAD, ALL), window="1d", objective="90%", budgeting=method)
        filled(books, one)
        evidence = books.measure([one], THEN)["mean"]
        assert evidence.reading is not None
        closed = [one for one in self.sliced(shop, 5)[:-1] if one[1]]
        mean = sum(bad / total for bad, total in closed) / len(closed)
        whole = evidence.reading.window_counts
        assert float(whole.bad / whole.total) == pytest.approx(float(mean), rel=0.01)


class TestMigrating:
    """The indicator of an SLO is changed while it is measured."""

    def known(self, books: LedgerFixture, one: Slo) -> Evidence:
        """Measured over its whole window."""
        evidence = filled(books, one).measure([one], THEN)["availability"]
        assert evidence.kind is EvidenceKind.FRESH
        return evidence

    def changed(self, one: Slo, indicator: Indicator) -> Slo:
        return replace(one, generation=one.generation + 1, indicator=indicator)

    def test_the_former_indicator_answers_until_the_new_ones_past_is_read(
        self, books: LedgerFixture, shop: Shop
    ) -> None:
        slo = availability()
        former = self.known(books, slo)
        other = self.changed(slo, ratio('http_requests_total{code=~"5.."}', ALL))
        evidence = books.measure([other], THEN)["availability"]
        assert (evidence.kind, evidence.reason) == (EvidenceKind.MIGRATING, Reason.MIGRATING)
        assert "Backfilling 0%" in evidence.detail
        assert evidence.reading == former.reading
        assert evidence.so_far is not None
        for burn_window in LOOKS:
            bad, _ = shop.true(THEN - timedelta(milliseconds=burn_window.milliseconds), THEN)
            assert float(evidence.so_far.burn_windows[burn_window].bad) == pytest.approx(
                float(bad), rel=0.1
            )
        books.keep_up(THEN)
        assert whole(books.measure([other], THEN)["availability"]) == shop.true(THEN - DAY, THEN)
        assert books.measure([other], THEN)["availability"] == former

    def test_what_is_known_of_the_new_indicator_may_refuse_at_once(
        self, books: LedgerFixture
    ) -> None:
        """Every request counts as bad, while the former indicator is well."""
        slo = availability(objective="50%")
        self.known(books, slo)
        other = self.changed(slo, ratio('http_requests_total{code!=""}', ALL))
        evidence = books.measure([other], THEN)["availability"]
        assert evidence.kind is EvidenceKind.MIGRATING
        pair = BurnPair(Duration.parse("1h"), Duration.parse("5m"), Decimal("1.5"), None)
        guarded = resolve_policy(Policy(burn=(pair,)), slo.objective, Duration.parse("1d"))
        sides = split_migration(SloEvidence("availability", evidence, guarded))
        former, new = (
            breach_reason(with_usable_evidence(side), DecisionPoint.START) for side in sides
        )
        assert (former, new) == (None, Reason.BURNING_FAST)

    @pytest.mark.parametrize(
        ("indicator", "kind"),
        [
            (ratio('nobody_total{code="500"}', "nobody_total"), EvidenceKind.ABSENT),
            (QueryIndicator("sum(increase(x[$window])) +", "sum(x)"), EvidenceKind.REJECTED),
        ],
    )
    def test_nothing_answers_for_an_indicator_that_cannot_be_measured(
        self, books: LedgerFixture, indicator: Indicator, kind: EvidenceKind
    ) -> None:
        one = availability()
        self.known(books, one)
        found = books.measure([self.changed(one, indicator)], THEN)["availability"]
        assert found.kind is kind

    def test_a_restart_meanwhile_reads_on_and_nothing_answers_until_then(
        self, books: LedgerFixture, shop: Shop
    ) -> None:
        slo = availability()
        self.known(books, slo)
        other = self.changed(slo, ratio('http_requests_total{code=~"5.."}', ALL))
        books.measure([other], THEN)
        books.save_now()
        books.begin()
        assert books.measure([other], THEN)["availability"].kind is EvidenceKind.WARMING_UP
        books.keep_up(THEN)
        assert whole(books.measure([other], THEN)["availability"]) == shop.true(THEN - DAY, THEN)


class TestTrouble:
    def test_events_of_an_outage_of_scraping_are_in_the_bucket_after_it(
        self, meter: Meter, tmp_path: Path
    ) -> None:
        """An hour and a half without a scrape, while the pods go on working."""
        begin = (THEN + timedelta(minutes=10) - NOW).total_seconds()
        shop = Shop().serve(out=(begin, begin + 90 * 60))
        with shop.served(tmp_path) as (url, to_come):
            books, slo = LedgerFixture(meter, url, to_come), availability()
            filled(books, slo)
            for minutes in range(5, 121, 5):
                at = books.until(THEN + timedelta(minutes=minutes))
                evidence = books.measure([slo], at)["availability"]
                books.keep_up(at)
            evidence = books.measure([slo], at)["availability"]
        assert evidence.reading is not None
        assert evidence.reading.coverage == 1
        assert whole(evidence) == shop.true(at - DAY, at)

    def test_while_nothing_is_scraped_evidence_is_stale(self, meter: Meter, tmp_path: Path) -> None:
        begin = (THEN + timedelta(minutes=10) - NOW).total_seconds()
        shop = Shop().serve(out=(begin, begin + 30 * 60))
        with shop.served(tmp_path) as (url, to_come):
            books, slo = LedgerFixture(meter, url, to_come), availability()
            filled(books, slo)
            at = books.until(THEN + timedelta(minutes=20))
            assert books.measure([slo], at)["availability"].kind is EvidenceKind.STALE

    @pytest.mark.parametrize("minutes", [4, 12, 40])
    def test_a_pause_in_the_data_is_judged_by_its_length_and_lets_nothing_through(
        self, meter: Meter, tmp_path: Path, minutes: int
    ) -> None:
        """Within freshness the budget is told; a look back that has no data is still none."""
        begin = THEN + timedelta(minutes=10)
        shop = Shop().serve(out=((begin - NOW).total_seconds(), END))
        with shop.served(tmp_path) as (url, to_come):
            books, one = LedgerFixture(meter, url, to_come), availability(window="1h")
            filled(books, one)
            at = books.until(begin + timedelta(minutes=minutes))
            filled(books, one, at=at)
            late = books.measure([one], at)["availability"]
            generous = replace(books.source, freshness=Duration.parse("1h"))
            judged = books.measure([one], at, where=generous)["availability"]
        assert late.kind is EvidenceKind.STALE
        bad, total = whole(judged)
        assert (bad, total) == pytest.approx(
            shop.true(at - timedelta(hours=1), at), rel=Decimal("0.02")
        )
        guarded = resolve_policy(Policy(), one.objective, Duration.parse("1h"))
        unread = with_usable_evidence(SloEvidence("availability", judged, guarded)).evidence
        if minutes < 5:
            assert judged.reading is not None
            assert judged.reading.events(Duration.parse("5m")) is not None
        else:
            assert unread.kind is EvidenceKind.ABSENT
            assert "no data for the last" in unread.detail

    def test_what_never_was_is_absent_before_and_after_its_past_is_read(
        self, books: LedgerFixture
    ) -> None:
        one = slo("nothing", ratio('nobody_total{code="500"}', "nobody_total"), window="1d")
        for _ in range(2):
            assert books.measure([one], THEN)["nothing"].kind is EvidenceKind.ABSENT
            books.keep_up(THEN)

    def test_samples_that_come_late_are_counted_when_their_bucket_is_read_again(
        self, meter: Meter, tmp_path: Path
    ) -> None:
        shop = Shop().serve()
        with shop.served(tmp_path) as (url, to_come):
            late = to_come.withhold(
                lambda at, labels: (
                    ("instance" in dict(labels)) and dict(labels)["instance"][0] == "2"
                )
            )
            books, slo = LedgerFixture(meter, url, to_come), availability()
            filled(books, slo)
            at = books.until(THEN + timedelta(minutes=7))
            books.measure([slo], at)
            books.keep_up(at)
            (tracked,) = books.library.source_ledgers(books.source)
            number = int(THEN.timestamp()) // 300
            five = THEN + FIVE
            early = tracked.ledger.fine.count(number)
            assert early is not None
            assert early.total < shop.true(THEN, five)[1]
            late.withhold(lambda at, _: at > (five + FIVE - NOW).total_seconds())
            late.send(url)
            books.keep_up(books.until(five + timedelta(minutes=10)))
            again = tracked.ledger.fine.count(number)
        assert again == EventCounts(*shop.true(THEN, five))

    def test_one_bad_slo_costs_no_other_its_evidence(
        self, books: LedgerFixture, meter: Meter
    ) -> None:
        broken = slo(
            "broken",
            QueryIndicator("sum(increase(x[$window])) +", "sum(increase(x[$window]))"),
            window="1d",
        )
        good = [
            slo(f"good-{n}", ratio(f'http_requests_total{{code="50{n}"}}', ALL), window="1d")
            for n in range(8)
        ]
        found = books.measure([broken, *good], THEN)
        assert found["broken"].kind is EvidenceKind.REJECTED
        books.keep_up(THEN)
        found = books.measure([broken, *good], THEN)
        assert found["broken"].kind is EvidenceKind.REJECTED
        assert {found[one.ref.name].kind for one in good} == {EvidenceKind.FRESH}

    def test_an_unreachable_source_closes_nothing_and_is_made_up_later(
        self, moving: LedgerFixture, shop: Shop
    ) -> None:
        slo, books = availability(), moving
        filled(books, slo)
        at = books.until(THEN + timedelta(minutes=12))
        here, books.source = books.source, replace(books.source, url="http://127.0.0.1:9")
        (tracked,) = books.library.source_ledgers(here)
        closed = tracked.ledger.closed_until
        assert books.measure([slo], at)["availability"].kind is EvidenceKind.UNREACHABLE
        books.keep_up(at)
        books.source = here
        assert tracked.ledger.closed_until == closed
        at = books.until(THEN + timedelta(minutes=60))
        books.measure([slo], at)
        books.keep_up(at)
        assert whole(books.measure([slo], at)["availability"]) == shop.true(at - DAY, at)
