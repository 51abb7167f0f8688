"""The recording of the demo shows what was printed, in its order, and is one small safe SVG."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
TEXT = "{http://www.w3.org/2000/svg}text"
ANIMATION = "{http://www.w3.org/2000/svg}animateTransform"


def recording() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recording", ROOT / "hack" / "recording.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_printed_line_is_a_line_of_the_picture_from_the_first_step_on() -> None:
    hack = recording()
    printed = ["starting servers", "1. A <step> & more.", "$ kubectl get", "", "5. Last.", "end"]
    lines = [hack.Line(float(at), text) for at, text in enumerate(printed)]
    shown = hack.from_first_step(lines)
    root = ElementTree.fromstring(hack.svg(shown, hack.still_of(shown)))
    texts = [text.text for text in root.iter(TEXT)]
    assert texts == ["1. A <step> & more.", "$ kubectl get", "5. Last.", "end"]
    animation = next(root.iter(ANIMATION))
    assert len(animation.attrib["values"].split(";")) == len(shown)
    moments = [float(at) for at in animation.attrib["keyTimes"].split(";")]
    assert moments[0] == 0
    assert moments == sorted(moments)
    assert moments[-1] < 1


def test_a_path_is_shown_as_from_the_clone_and_not_of_this_machine() -> None:
    hack = recording()
    program = "import pathlib; print(f'1. look in {pathlib.Path.cwd()}/.demo/env')"
    assert [line.text for line in hack.record([sys.executable, "-c", program])] == [
        "1. look in .demo/env"
    ]


def test_a_long_pause_is_shortened_and_the_last_picture_stays() -> None:
    hack = recording()
    lines = [hack.Line(0.0, "a"), hack.Line(0.5, "b"), hack.Line(60.0, "c")]
    assert hack.pauses(lines) == [0.5, hack.LONGEST_PAUSE, hack.LAST_PAUSE]


def test_the_recording_in_the_documentation_has_all_eight_steps_and_no_script() -> None:
    text = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    shown = [one.text or "" for one in ElementTree.fromstring(text).iter(TEXT)]
    steps = [line[:2] for line in shown if line[1:3] == ". " and line[0].isdigit()]
    assert steps == [f"{number}." for number in range(1, 9)]
    assert any(line.startswith("  Closed since ") for line in shown)
    assert "<script" not in text
    assert len(text) < 50_000
