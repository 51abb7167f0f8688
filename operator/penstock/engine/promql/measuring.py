"""Asks questions and reads their answers: all that those who want counts need to know."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime

from penstock.domain.evidence import Evidence, Kind
from penstock.domain.indicator import LatencyIndicator
from penstock.domain.source import Source
from penstock.engine.asking import Asker, Span
from penstock.engine.promql.borders import Borders, BordersQuestion, no_bucket
from penstock.engine.promql.question import Counts, Question
from penstock.engine.promql.reading import counts
from penstock.engine.promql.together import groups


async def measured(
    asker: Asker, source: Source, questions: Sequence[Question], when: datetime | Span
) -> Mapping[Hashable, Counts | Evidence]:
    """The counts of each question by its key, or why there are none.

    Of histograms whose threshold is no bucket it asks once more which buckets there are.
    """
    answers = await asker.ask(source, groups(questions), when)
    found = {
        asked.key: answer
        if isinstance(answer := answers[asked.key], Evidence)
        else counts(asked, answer)
        for asked in questions
    }
    lost = {
        asked.key: asked.indicator
        for asked in questions
        if isinstance(asked.indicator, LatencyIndicator) and _lacks_bucket(found[asked.key])
    }
    if lost:
        at = when.end if isinstance(when, Span) else when
        further = [BordersQuestion(key, one.histogram) for key, one in lost.items()]
        borders = await asker.ask(source, [(Borders(), further)], at)
        found |= {key: no_bucket(one, borders[key]) for key, one in lost.items()}
    return found


def _lacks_bucket(found: Counts | Evidence) -> bool:
    return isinstance(found, Evidence) and found.kind is Kind.SLO_INVALID
