"""Faults in what decides: the gate, releases in progress, stable templates, holds."""

from __future__ import annotations

from mutation.fault import Fault

DECIDE = "tests/unit/domain/test_decide.py::test"
THRESHOLDS = "tests/unit/domain/test_thresholds.py::test"
MEMORY = "tests/unit/domain/test_memory.py::test"
TRACKING = "tests/unit/domain/test_release_tracking.py::test"
GATE = "tests/unit/domain/test_gate.py::test"
ACTIONS = "tests/unit/domain/test_deadlines.py::test"
CACHE = "tests/unit/engine/test_object_cache.py::test"

OF_DECISIONS = (
    Fault(
        "an exhausted budget closes the gate",
        "domain/thresholds.py",
        "if remaining.value > (policy",
        "if remaining.value >= (policy",
        f"{DECIDE}_g2_nothing_starts_at_zero_budget",
    ),
    Fault(
        "a burn pair fires on both of its windows",
        "domain/thresholds.py",
        "        and _burn(reading, rule.short) > rule.factor\n",
        "",
        f"{DECIDE}_g2_a_burn_pair_is_hot_when_both_windows_are_above_its_factor",
    ),
    Fault(
        "a burn pair needs a minimum of bad events",
        "domain/thresholds.py",
        "bad >= rule.minimum_bad_events",
        "bad > rule.minimum_bad_events",
        f"{THRESHOLDS}_a_pair_needs_five_bad_events_in_its_long_window",
    ),
    Fault(
        "an outage holds a release once keepLast is over",
        "domain/decide.py",
        "since is not None and facts.now - since < kept",
        "since is not None and terms.keep_last.milliseconds > 0",
        f"{DECIDE}_r7_in_an_outage_a_release_is_as_it_was_for_keep_last_and_then_held",
    ),
    Fault(
        "missing evidence never ends a hold",
        "domain/decide.py",
        "terms.then is UnknownThen.PERMIT and (not held or _hold_is_over(facts))",
        "terms.then is UnknownThen.PERMIT",
        f"{DECIDE}_g3_unknown_never_ends_a_hold",
    ),
    Fault(
        "thin evidence is judged by its burn rates",
        "domain/thresholds.py",
        "slo.evidence.grade is EvidenceGrade.OUTAGE:\n        return None",
        "slo.evidence.grade is not EvidenceGrade.FRESH:\n        return None",
        f"{DECIDE}_g2_thin_evidence_is_judged_by_burn_and_not_by_budget",
    ),
    Fault(
        "a rollback is always permitted",
        "domain/decide.py",
        "    _returns_to_stable,\n    _is_first,\n    _person_resumed,\n"
        "    _person_holds_release,\n",
        "    _is_first,\n    _person_resumed,\n    _person_holds_release,\n"
        "    _returns_to_stable,\n",
        f"{DECIDE}_r1_r2_r3_pass_whatever_the_gate_says",
    ),
    Fault(
        "a first release is permitted",
        "domain/gate.py",
        "first=not release.from_hash",
        "first=release.from_hash is None",
        "tests/engine/test_reasons.py::"
        "test_a_first_release_passes_a_closed_gate_and_the_next_one_does_not",
    ),
    Fault(
        "a person who resumes a release is obeyed",
        "domain/decide.py",
        "    _person_resumed,\n    _person_holds_release,\n",
        "    _person_holds_release,\n    _person_resumed,\n",
        f"{DECIDE}_r3_a_person_who_resumed_is_obeyed_although_a_person_holds",
    ),
    Fault(
        "a resume is overruled where the Rollout says Enforce",
        "domain/gate.py",
        "release.resumed_at is not None and is_respected(rollout)",
        "release.resumed_at is not None",
        f"{GATE}_a_resume_is_respected_only_while_the_author_says_so",
    ),
    Fault(
        "a person's hold without a reason holds",
        "domain/decide.py",
        "if facts.person is None:",
        "if not facts.person:",
        f"{DECIDE}_g1_a_hold_without_words_is_a_hold",
    ),
    Fault(
        "a release that started while the gate was not open is held",
        "domain/release_tracking.py",
        "elif not opened:",
        "elif state.gate is not None and state.gate.state is GateState.CLOSED:",
        f"{TRACKING}_a_template_that_changes_past_a_closed_gate_is_known_as_such",
    ),
    Fault(
        "a budget hold waits for its margin",
        "domain/thresholds.py",
        "share < min(policy.start_hold_at + policy.margin, Decimal(1))",
        "share <= policy.start_hold_at",
        f"{DECIDE}_g4_a_budget_hold_also_waits_for_its_margin",
    ),
    Fault(
        "each hold within two hours doubles the calm",
        "domain/memory.py",
        "calm.milliseconds << len(recent)",
        "calm.milliseconds * (1 + len(recent))",
        f"{MEMORY}_each_new_hold_within_two_hours_doubles_the_calm_up_to_two_hours",
    ),
)

OF_GATES_AND_RELEASES = (
    Fault(
        "a template that the gate closed on is not stable any more",
        "domain/gate.py",
        "        state = drop_from_stable(state)\n",
        "        state = replace(state, proving_since=None)\n",
        f"{GATE}_a_version_whose_errors_close_the_gate_is_stable_no_longer",
    ),
    Fault(
        "the only stable template is kept",
        "domain/release_tracking.py",
        "if len(stable) > 1 and stable[0]",
        "if stable and stable[0]",
        f"{TRACKING}_the_only_template_known_is_kept",
    ),
    Fault(
        "probation counts only while the gate permits",
        "domain/release_tracking.py",
        "        or not permitted\n",
        "",
        f"{TRACKING}_anything_but_a_permit_restarts_the_time",
    ),
    Fault(
        "a restart of the pods is not a release",
        "domain/template.py",
        '_without(metadata.pop("annotations", None), RESTARTED_AT)',
        'metadata.pop("annotations", None)',
        "tests/unit/domain/test_template.py::test_is_not_a_release",
    ),
    Fault(
        "Audit refuses nothing",
        "domain/gate_record.py",
        "rollout.mode is Mode.ENFORCE",
        "rollout.mode is not Mode.OFF",
        f"{GATE}_admits_has_mode_and_enforcement_in_it",
    ),
    Fault(
        "admission only warns where it cannot see every stable template",
        "domain/gate_record.py",
        "rollout.enforcement.admission is Admission.WARN or not complete",
        "rollout.enforcement.admission is Admission.WARN",
        f"{GATE}_one_stable_template_too_large_to_show_makes_admission_warn",
    ),
    Fault(
        "a hold that is lost three times is left alone",
        "domain/external_resume.py",
        "len(lost_at) >= LOSSES_TO_CONTEST",
        "len(lost_at) > LOSSES_TO_CONTEST",
        "tests/engine/test_steered.py::"
        "test_after_three_losses_within_ten_minutes_it_is_contested_and_left",
    ),
    Fault(
        "a workload that was recreated was resumed by nobody",
        "domain/external_resume.py",
        "before.workload is not None and before.workload.uid != workload.uid",
        "before.workload is not None and before.workload.name != str(workload.ref)",
        f"{GATE}_a_held_workload_that_is_recreated_was_resumed_by_nobody",
    ),
    Fault(
        "a person's pause is not undone",
        "domain/gate.py",
        "        return ReleaseWorkload() if workload.held_by_us else None\n    keep",
        "        return ReleaseWorkload()\n    keep",
        f"{GATE}_a_persons_pause_is_neither_taken_nor_undone",
    ),
    Fault(
        "the older of two Rollouts of a workload enforces",
        "engine/object_cache.py",
        "key=lambda key: (rollouts[key].created, key)",
        "key=lambda key: key",
        f"{CACHE}_the_older_one_of_two_rollouts_guards_a_workload_the_name_breaks_a_tie",
    ),
    Fault(
        "the status is written before the release that it shows",
        "domain/gate.py",
        "return (first, WriteStatus(), action)",
        "return (first, action, WriteStatus())",
        f"{ACTIONS}_the_status_comes_before_the_release_that_it_shows",
    ),
    Fault(
        "a hold is written before the status that shows it",
        "domain/gate.py",
        "return (first, action)",
        "return (first, WriteStatus(), action)",
        f"{ACTIONS}_a_hold_comes_before_the_status_that_shows_it",
    ),
)

DOMAIN_FAULTS = (*OF_DECISIONS, *OF_GATES_AND_RELEASES)
