"""Faults around what decides: evidence, what is kept, the engine, the adapters."""

from __future__ import annotations

from mutation.fault import Fault

THRESHOLDS = "tests/unit/domain/test_thresholds.py::test"
WINDOW = "tests/unit/domain/test_window.py::test"
DECODE = "tests/unit/engine/test_decode.py::test"
RESPONSE = "tests/unit/adapters/test_prometheus_response.py::test"
CACHE = "tests/unit/engine/test_object_cache.py::test"
QUEUE = "tests/unit/engine/test_work_queue.py::test"
CONTROLLER = "tests/unit/engine/test_controller.py::test"
STATUS = "tests/unit/api/test_status_decoding.py::test"
WATCH = "tests/engine/test_watch.py::test"
RESTART = "tests/engine/test_restart.py::test"
TROUBLE = "tests/engine/test_trouble.py::test"
EXPIRY = "tests/engine/test_expiry.py::test"
LEADERSHIP = "tests/engine/test_leadership.py::test"
REDACTION = "tests/unit/adapters/test_redaction.py::test"

OF_EVIDENCE = (
    Fault(
        "old samples are stale",
        "engine/promql/decode.py",
        "if age > fresh.seconds:",
        "if age > fresh.milliseconds:",
        f"{DECODE}_nothing_new_is_stale",
    ),
    Fault(
        "what is not a finite number is malformed",
        "engine/promql/decode.py",
        "if not number.is_finite() or abs(number) > _LARGEST:",
        "if number.is_infinite():",
        f"{DECODE}_what_is_no_number_is_malformed_wherever_it_is",
    ),
    Fault(
        "a partial answer of VictoriaMetrics is known as partial",
        "adapters/prometheus_response.py",
        'body.get("isPartial") is True',
        'body.get("isPartial") == "true"',
        f"{RESPONSE}_victoria_metrics_says_in_its_own_way_that_it_is_partial",
    ),
    Fault(
        "a burn window that was not read is missing data",
        "domain/thresholds.py",
        "    if unread:\n",
        "    if len(unread) == len(policy.burn_windows):\n",
        f"{THRESHOLDS}_a_burn_window_that_was_not_read_makes_evidence_absent_and_is_named",
    ),
    Fault(
        "counters that fell prove nothing",
        "domain/exported_counters.py",
        "all(-_NOISE <= more.bad <= more.total + _NOISE",
        "all(more.bad <= more.total + _NOISE",
        "tests/unit/domain/test_exported_counters.py::"
        "test_counters_that_say_what_cannot_be_prove_nothing",
    ),
    Fault(
        "a clock that is behind differs too",
        "adapters/clock_skew.py",
        "abs(self.skew) <= TOLERANCE",
        "self.skew <= TOLERANCE",
        "tests/unit/adapters/test_clock_skew.py::test_five_seconds_are_borne",
    ),
    Fault(
        "evidence of a source that hangs becomes stale",
        "engine/evidence_view.py",
        "age > MISSED_EVALUATIONS * self._intervals.rest",
        "age > MISSED_EVALUATIONS * self._intervals.rest * 1_000",
        f"{TROUBLE}_a_source_that_hangs_makes_its_evidence_stale_and_delays_nobody_else",
    ),
    Fault(
        "a calendar window begins at midnight of its own zone",
        "domain/window.py",
        "tzinfo=self.zone).astimezone(UTC)",
        "tzinfo=UTC)",
        f"{WINDOW}_a_calendar_period_begins_at_midnight_of_its_own_zone",
    ),
    Fault(
        "daylight saving does not change a rolling window",
        "domain/window.py",
        "at.astimezone(UTC) - timedelta(milliseconds=self.duration.milliseconds)",
        "(at - timedelta(milliseconds=self.duration.milliseconds)).astimezone(UTC)",
        f"{WINDOW}_a_rolling_window_is_real_time_also_when_asked_in_local_time",
    ),
)

OF_WHAT_IS_KEPT = (
    Fault(
        "a ledger comes back from its snapshot",
        "domain/ledger_codec.py",
        "scale = 1 if all(_is_whole(count) for count in counts)",
        "scale = 1 if any(_is_whole(count) for count in counts)",
        "tests/unit/domain/test_ledger_codec.py::test_a_ledger_comes_back_as_it_was",
    ),
    Fault(
        "a bucket is final an hour after its end",
        "domain/ledger.py",
        "if now - end >= SEAL_AFTER:",
        "if now - end >= REREAD_AFTER:",
        "tests/unit/domain/test_ledger.py::"
        "test_how_far_a_bucket_can_be_relied_on_depends_on_when_it_is_read",
    ),
    Fault(
        "former holds are remembered through a restart",
        "api/status_decoding.py",
        "        recent_holds=tuple(_time(at) for at in model.recent_holds or ()),\n",
        "",
        f"{RESTART}_doubling_is_remembered_through_a_restart",
    ),
    Fault(
        "a hold for a cause of a newer version is kept",
        "api/status_decoding.py",
        "next(_readable(HoldCause, [word]), HoldCause.BUDGET)",
        "HoldCause(word)",
        f"{STATUS}_a_hold_for_a_cause_of_a_newer_version_lasts_as_long_as_one_for_the_budget",
    ),
)

OF_THE_ENGINE = (
    Fault(
        "nothing is held or released once the lease is lost",
        "engine/actuator.py",
        "        self._check_lease()\n        match action:\n",
        "        match action:\n",
        f"{LEADERSHIP}_leadership_lost_between_decision_and_write_nothing_is_written_afterwards"
        "[0.2-write_record]",
    ),
    Fault(
        "no status is written once the lease is lost",
        "engine/status_writer.py",
        "        self._check_lease()\n        await self._api.write_status(",
        "        await self._api.write_status(",
        f"{LEADERSHIP}_leadership_lost_between_decision_and_write_nothing_is_written_afterwards"
        "[0.2-hold]",
    ),
    Fault(
        "a list drops what is gone",
        "engine/object_cache.py",
        "changes = [self.remove(resource, key) for key in gone]",
        "changes = [ObjectChange(resource, self.get(resource, key), None) for key in gone]",
        f"{CACHE}_a_sweep_forgets_what_a_list_no_longer_shows_and_says_what",
    ),
    Fault(
        "a list that comes late does not drop what is new",
        "engine/object_cache.py",
        "kept = {key_of(obj) for obj in listed} | touched",
        "kept = {key_of(obj) for obj in listed}",
        f"{CACHE}_what_is_made_while_a_list_is_awaited_is_not_swept",
    ),
    Fault(
        "a status that comes back through the watch sets nothing off",
        "engine/object_cache.py",
        "return None if _is_same(known, obj) else ObjectChange(resource, known, obj)",
        "return ObjectChange(resource, known, obj)",
        f"{CACHE}_a_change_of_the_status_alone_is_stored_and_no_change",
    ),
    Fault(
        "what fails is retried later each time",
        "engine/work_queue.py",
        "        self._failures[key] += 1\n",
        "",
        f"{CONTROLLER}_a_failure_is_retried_later_each_time",
    ),
    Fault(
        "a key is worked on by one worker at a time",
        "engine/work_queue.py",
        "if key not in self._processing:",
        "if True:",
        f"{QUEUE}_a_key_added_while_it_is_worked_on_waits_until_that_is_done",
    ),
    Fault(
        "news brings no key back before the time that a server asked for is over",
        "engine/work_queue.py",
        "if (not_before := self._not_before.get(key, now)) > now:",
        "if (not_before := now) > now:",
        f"{QUEUE}_news_brings_a_key_back_no_sooner_than_the_api_server_asked[0.0]",
    ),
    Fault(
        "a server that throttles is left alone for as long as it says",
        "engine/controller.py",
        "add_with_backoff(key, at_least, mark=marked)",
        "add_with_backoff(key, mark=marked)",
        f"{CONTROLLER}_one_that_was_throttled_waits_as_long_as_it_was_reported",
    ),
    Fault(
        "a hold that was refused is tried again after half a minute",
        "engine/rollout_reconciler.py",
        "            state.not_before = self._clock.monotonic() + REFUSED_SECONDS\n",
        "",
        f"{TROUBLE}_a_hold_that_is_refused_is_reported_and_tried_each_half_minute",
    ),
    Fault(
        "nothing but heartbeats is written at rest",
        "engine/status_policy.py",
        "gate and (gate.verdict, gate.state, gate.reason, gate.slo),",
        "gate,",
        "tests/engine/test_pace.py::test_at_rest_nothing_is_written_but_heartbeats",
    ),
    Fault(
        "a transition is one Event",
        "engine/status_policy.py",
        "state.release and state.release.resumed_at,",
        "state.release,",
        f"{EXPIRY}_each_transition_is_one_event",
    ),
    Fault(
        "a gate stays as it is until its SLOs were evaluated once",
        "engine/rollout_reconciler.py",
        "        if warming_up > 0:\n            return warming_up\n",
        "",
        f"{RESTART}_a_gate_stays_as_it_is_until_its_slos_have_been_asked_once",
    ),
    Fault(
        "a calm ends within a second of its moment",
        "domain/deadlines.py",
        "        *_calm_ends(state),\n",
        "",
        f"{EXPIRY}_a_gate_opens_within_a_second_of_the_end_of_its_calm",
    ),
    Fault(
        "an orphaned hold is released",
        "engine/informer.py",
        '        if is_leading:\n            self._queues.orphaned_holds.add("all")\n',
        "",
        f"{WATCH}_a_rollout_deleted_while_nobody_was_there_is_let_go_by_the_next_one[Release]",
    ),
    Fault(
        "a hold that is to be kept outlives its Rollout",
        "engine/orphaned_holds.py",
        "hold_ref.owner not in owners and not hold_ref.keep",
        "hold_ref.owner not in owners",
        f"{WATCH}_a_rollout_deleted_while_nobody_was_there_is_let_go_by_the_next_one[KeepHeld]",
    ),
)

OF_ADAPTERS = (
    Fault(
        "a secret is hidden in every form",
        "adapters/redaction.py",
        "    yield quote_plus(secret)\n",
        "",
        f"{REDACTION}_a_secret_is_hidden_in_every_form_that_a_server_repeats_it_in",
    ),
    Fault(
        "a secret that contains another is hidden whole",
        "adapters/redaction.py",
        "key=len, reverse=True)",
        "key=len)",
        f"{REDACTION}_what_contains_another_is_hidden_whole",
    ),
    Fault(
        "a source of the cluster has the operator's Secrets alone",
        "adapters/credentials.py",
        "source.ref.namespace if source.kind is SourceKind.METRICS_SOURCE else own",
        "source.ref.namespace or own",
        "tests/unit/adapters/test_credentials.py::"
        "test_a_cluster_wide_source_has_the_operators_own_secrets_alone",
    ),
    Fault(
        "a 407 names the proxy",
        "adapters/prometheus_response.py",
        "        case 407:\n",
        "        case 407 if said:\n",
        f"{RESPONSE}_the_outcome_by_status_and_body",
    ),
    Fault(
        "a source that recovered is trusted again at once",
        "adapters/backpressure.py",
        "self._failures = self._openings = 0",
        "self._failures = 0",
        "tests/unit/adapters/test_circuit_breaker.py::test_after_a_success_breaks_are_short_again",
    ),
    Fault(
        "a field that the served CRD lacks is found in lists too",
        "api/served.py",
        '(("items", "[]"), ("additionalProperties", ".*"))',
        '(("additionalProperties", ".*"),)',
        "tests/unit/api/test_served.py::"
        "test_a_field_that_the_operator_writes_and_the_cluster_lacks_is_named",
    ),
)

ENGINE_FAULTS = (*OF_EVIDENCE, *OF_WHAT_IS_KEPT, *OF_THE_ENGINE, *OF_ADAPTERS)
