"""A trace gives the study that it can answer, and says what it cannot."""

from __future__ import annotations

import pytest

from tests.qemu_lines import LINES, imported
from workbench.study import WITHOUT_REPORTING, HostKind, Limit, ask_study, variants
from workbench.trace import read_trace
from workbench.units import GIB

HOSTS = [HostKind(name="mine", memory_bytes=64 * GIB)]
COMPARED = variants(device={}, guest={"reporting_order": [0, 9], "reporting_delay_ns": ["2s"]})


def asked_of(name, compared=COMPARED, **options):
    """Ask a bundled trace."""
    return ask_study(read_trace(f"traces/{name}.trace"), compared, hosts=HOSTS, **options)


def test_of_a_trace_that_can_answer_all_of_it_all_is_compared():
    asked = asked_of("churn-order0", limit=Limit(share_of_time=0.9), seeds=(7,))
    (study,) = asked.answers

    assert asked.refusals == ()
    assert study.variants == COMPARED
    assert (study.limit.share_of_time, study.seeds, study.hosts) == (0.9, (7,), tuple(HOSTS))
    assert [member.name for kind in study.guests for member in kind.members] == ["churn-order0"]


def test_what_a_trace_cannot_answer_is_left_out_with_its_reason():
    """Captured at order 9, it does not say what blocks below held."""
    asked = asked_of("churn-on")
    (study,) = asked.answers

    assert [each.settings.guest.reporting_order for each in study.variants] == [None, 9]
    assert len(asked.refusals) == 1
    assert asked.refusals[0].startswith("order 0, delay 2 s: captured with")


def test_where_no_reporting_cannot_be_answered_there_is_nothing_to_compare_with():
    asked = asked_of("churn-poisoned")

    assert asked.answers == ()
    assert len(asked.refusals) == 1
    assert asked.refusals[0].startswith(WITHOUT_REPORTING.label)


def test_a_trace_of_several_guests_is_to_be_cut():
    asked = asked_of("staircase-two-guests")

    assert asked.answers == ()
    assert "workbench slice --vm" in asked.refusals[0]


def test_a_trace_without_faults_says_so(tmp_path):
    asked = ask_study(imported(tmp_path, LINES), COMPARED, hosts=HOSTS)

    assert "has no faults" in asked.refusals[0]


@pytest.mark.parametrize("name", ["churn-off", "migration-hinting"])
def test_of_other_traces_there_is_an_answer_or_a_reason(name):
    asked = asked_of(name)

    assert asked.answers or asked.refusals
