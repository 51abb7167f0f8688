"""The story of `make demo`: eight steps, each announced, shown, and checked at the API server."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from demo import shop
from demo.kubectl_runner import KubectlRunner, StoryError, aside, chapter
from demo.stage import NAMESPACE, Stage, Wanted
from testbed.workloads import is_complete

__all__ = ["StoryError", "tell"]

SLO, ROLLOUT = "slos.penstock.dev", "rollouts.penstock.dev"
NAME = "checkout"


def tell(state: Stage) -> None:
    """Run all steps; raises StoryError for what was not seen."""
    begun = time.monotonic()
    state.begin()
    scenario = Scenario(state)
    scenario.set_up()
    for step in scenario.steps:
        step()
    scenario.say_how_to_look_around(time.monotonic() - begun)


class Scenario:
    """The steps."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._hands = KubectlRunner(stage.env, NAMESPACE)
        self._everybody = Wanted(operator=True, load=True)
        self._manifests = stage.folder / "manifests"
        self.steps = (
            self.budget_is_seen,
            self.good_version_rolls_out,
            self.bad_version_is_held,
            self.next_release_is_refused,
            self.rollback_passes,
            self.gate_opens_again,
            self.outage_holds_and_rolls_nothing_back,
            self.dead_operator_still_refuses,
        )

    def set_up(self) -> None:
        """RBAC, admission policies, shop, operator and load."""
        hands = self._hands
        aside("Installing RBAC and admission policies; starting the operator and the load.")
        self._stage.install()
        shop.write(self._manifests, self._stage.prometheus_url)
        hands.must("delete", ROLLOUT, "--all")
        self._apply("checkout-1.0")
        hands.wait("no pod of the shop became available", 60, lambda: self._complete("1.0"))
        self._stage.want(self._everybody)
        time.sleep(10)

    def budget_is_seen(self) -> None:
        """Step 1."""
        chapter(1, "An SLO and a Rollout are applied; the budget shows within one interval.")
        hands = self._hands
        for name in ("source", "slo", "rollout"):
            hands.show("apply", "-f", self._shown(name))
        hands.wait("no budget was shown", 30, lambda: self._gate().get("state") == "Open")
        hands.wait("the SLO is not healthy", 30, lambda: self._slo().get("state") == "Healthy")
        hands.show("get", f"{SLO},{ROLLOUT}")

    def good_version_rolls_out(self) -> None:
        """Step 2."""
        chapter(2, "A good version rolls out while the gate is open.")
        self._hands.show("apply", "-f", self._shown("checkout-1.1"))
        self._hands.wait("version 1.1 is not complete", 90, lambda: self._complete("1.1"))
        self._hands.wait("version 1.1 is not stable", 10, lambda: len(self._stable()) == 2)
        self._hands.show("get", f"deployment/{NAME}", f"{ROLLOUT}/{NAME}")

    def bad_version_is_held(self) -> None:
        """Step 3."""
        chapter(3, "A bad version fails four of five requests: the gate closes and holds it.")
        self._hands.show("apply", "-f", self._shown("checkout-1.2"))
        self._hands.wait("the gate did not close", 40, lambda: self._gate()["state"] == "Closed")
        self._hands.wait("the release was not held", 10, self._is_held)
        effective = self._status().get("hold", {}).get("effective")
        if effective not in ("full", "partial"):
            raise StoryError(f"the hold has effect {effective}")
        self._show_gate()
        self._hands.show("get", "deployment", NAME)
        done = int(self._hands.get("deployment", NAME)["status"].get("updatedReplicas", 0))
        aside(f"{done} of {shop.REPLICAS} pods are bad and keep failing; the others are untouched.")
        if done >= shop.REPLICAS:
            raise StoryError("the bad version went through")
        spent = "the budget did not run out"
        self._hands.wait(spent, 60, lambda: self._gate()["reason"] == "BudgetExhausted")
        aside("Now the budget is spent: the gate waits for budget as well as for low burn rates.")

    def next_release_is_refused(self) -> None:
        """Step 4."""
        chapter(4, "Yet another version: the API server refuses it and says why.")
        image = f"app={shop.IMAGE}:2.0"
        said = self._hands.show("set", "image", f"deployment/{NAME}", image, may_fail=True)
        if "forbidden" not in said or "Closed since" not in said:
            raise StoryError("the release was not refused with the gate's message")

    def rollback_passes(self) -> None:
        """Step 5."""
        chapter(5, "A rollback always passes: the good version is back at once.")
        self._hands.show("apply", "-f", self._shown("checkout-1.1"))
        self._hands.wait("the hold was not released", 15, lambda: not self._paused())
        self._hands.wait("the good version is not back", 90, lambda: self._complete("1.1"))
        if self._gate()["state"] != "Closed":
            raise StoryError("the rollback opened the gate")
        self._hands.show("get", f"deployment/{NAME}", f"{ROLLOUT}/{NAME}")

    def gate_opens_again(self) -> None:
        """Step 6."""
        chapter(
            6, "The errors have ended: the budget recovers, the gate opens, a release completes."
        )
        aside("The window is a minute long, so this takes about one.")
        self._hands.wait("the gate did not open", 120, lambda: self._gate()["state"] == "Open")
        self._show_gate()
        self._hands.show("apply", "-f", self._shown("checkout-1.3"))
        self._hands.wait("version 1.3 is not complete", 90, lambda: self._complete("1.3"))

    def outage_holds_and_rolls_nothing_back(self) -> None:
        """Step 7."""
        chapter(
            7,
            "Prometheus is stopped: the gate is Unknown, nothing starts, nothing is rolled back.",
        )
        before = self._image()
        self._stage.want(replace(self._everybody, prometheus=False))
        self._hands.wait("it is not Unknown", 40, lambda: self._gate()["state"] == "Unknown")
        self._show_gate()
        image = f"app={shop.IMAGE}:2.0"
        said = self._hands.show("set", "image", f"deployment/{NAME}", image, may_fail=True)
        if "forbidden" not in said:
            raise StoryError("a release started although nothing could be measured")
        if self._image() != before:
            raise StoryError("the outage changed what runs")
        self._stage.want(self._everybody)
        self._hands.wait(
            "nothing was decided again", 60, lambda: self._gate()["verdict"] != "Unknown"
        )
        self._hands.show("get", ROLLOUT, NAME)

    def dead_operator_still_refuses(self) -> None:
        """Step 8."""
        chapter(
            8, "A person closes the gate and the operator is killed: releases are still refused."
        )
        hold = '{"spec":{"hold":{"reason":"database migration"}}}'
        self._hands.show("patch", ROLLOUT, NAME, "--type=merge", "-p", hold)
        self._hands.wait("the gate did not close", 15, lambda: self._gate()["state"] == "Closed")
        aside(self._stage.kill_operator())
        image = f"app={shop.IMAGE}:2.0"
        said = self._hands.show("set", "image", f"deployment/{NAME}", image, may_fail=True)
        if "forbidden" not in said or "database migration" not in said:
            raise StoryError("the release was not refused while the operator was dead")
        self._stage.want(self._everybody)
        self._hands.must("patch", ROLLOUT, NAME, "--type=json", "-p",
                         '[{"op":"remove","path":"/spec/hold"}]')  # fmt: skip
        self._hands.wait("the gate did not open", 40, lambda: self._gate()["state"] == "Open")
        aside("The operator is started again, the person's hold is removed: the gate is open.")

    def say_how_to_look_around(self, seconds: float) -> None:
        """The end."""
        print(f"\nAll eight steps were seen, in {seconds:.0f} s. It keeps running; look around:")
        print(f"  . {self._stage.folder / 'env'}")
        print(f"  kubectl -n {NAMESPACE} get {SLO},{ROLLOUT} -o wide")
        print(f"  kubectl -n {NAMESPACE} describe {ROLLOUT} {NAME}")
        print("  make demo-down     # stops everything")

    def _show_gate(self) -> None:
        self._hands.show("get", ROLLOUT, NAME)
        self._hands.show("get", ROLLOUT, NAME, "-o", "jsonpath={.status.gate.message}")

    def _apply(self, name: str) -> None:
        self._hands.must("apply", "-f", str(self._manifests / f"{name}.yaml"))

    def _shown(self, name: str) -> str:
        path = self._manifests / f"{name}.yaml"
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def _status(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = self._hands.get(ROLLOUT, NAME).get("status") or {}
        return found

    def _gate(self) -> dict[str, str]:
        return self._status().get("gate") or {"state": "", "verdict": ""}

    def _slo(self) -> dict[str, str]:
        found: dict[str, str] = self._hands.get(SLO, "checkout-availability").get("status") or {}
        return found

    def _stable(self) -> list[object]:
        status = self._hands.get(ROLLOUT, NAME).get("status") or {}
        return list(status.get("stable") or ())

    def _is_held(self) -> bool:
        return bool(self._status().get("hold", {}).get("active")) and self._paused()

    def _paused(self) -> bool:
        return bool(self._hands.get("deployment", NAME)["spec"].get("paused"))

    def _image(self) -> str:
        spec = self._hands.get("deployment", NAME)["spec"]["template"]["spec"]
        return str(spec["containers"][0]["image"])

    def _complete(self, tag: str) -> bool:
        return is_complete(self._hands.get("deployment", NAME), tag)
