"""The door: from a trace to a ledger, its lineage, and what it says of itself."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import workbench
from tests.synthetic import (
    HUGE,
    POISON_VAL,
    POISONED,
    REPORTED,
    discard,
    features,
    machine,
    report,
    sample,
    swap_in,
    swap_out,
    touch,
    trace,
)
from workbench.errors import InputError, UsageError
from workbench.model import model_digest
from workbench.replay import Device, Guest, Outcome, Settings, Surprise, replay
from workbench.schema import FaultFlag, PageState
from workbench.trace import RamBlock
from workbench.units import MIB, PAGE_BYTES


def resident_mib(run):
    """Resident memory after each event."""
    pages = run.initial_resident_pages.sum() + np.cumsum(run.ledger.resident_delta_pages)
    return (pages * PAGE_BYTES / MIB).tolist()


def test_as_captured_the_discards_take_what_the_faults_brought():
    run = replay(trace(REPORTED))

    assert resident_mib(run) == [0, 2, 4, 2, 2, 4, 2, 2]
    assert run.final_resident_bytes == 2 * MIB


def test_a_refault_is_told_from_a_first_touch():
    outcome = replay(trace(REPORTED)).ledger.outcome

    assert outcome[[1, 2, 5]].tolist() == [
        Outcome.FIRST_TOUCH,
        Outcome.FIRST_TOUCH,
        Outcome.REFAULT,
    ]


def test_with_a_poison_value_nothing_is_discarded_and_every_range_says_why():
    run = replay(trace(REPORTED), guest=Guest(poison_val=POISON_VAL))

    assert resident_mib(run) == [0, 2, 4, 4, 4, 4, 4, 4]
    assert run.events["discarded"] == 0
    assert run.events["skipped"]["poisoned"] == 2


def test_with_discards_inhibited_every_range_says_why():
    run = replay(trace(REPORTED), device=Device(discard_inhibited=True))

    assert run.events["skipped"] == {
        "inhibited": 2,
        "poisoned": 0,
        "bad_address": 0,
        "unaligned": 0,
        "overrun": 0,
    }


def test_a_poisoned_capture_is_replayed_poisoned():
    run = replay(trace(POISONED))

    assert run.final_resident_bytes == 6 * MIB
    assert run.events["skipped"]["poisoned"] == 2
    assert run.events["as_captured"]["differing_decisions"] == 0


def test_the_ledger_keeps_the_traces_order_over_two_machines():
    events = [touch(1, 0, vm=0), touch(2, HUGE, vm=1), report(3, 0, vm=0), report(4, HUGE, vm=1)]
    run = replay(trace(events, machines=[machine("a"), machine("b")]))

    assert run.ledger.vm.tolist() == [0, 1, 0, 1]
    assert run.ledger.resident_delta_pages.tolist() == [512, 512, -512, -512]
    assert run.initial_resident_pages.tolist() == [0, 0]


def test_machines_do_not_see_each_other():
    events = [touch(1, 0, vm=0), touch(2, 0, vm=1), report(3, 0, vm=0)]
    run = replay(trace(events, machines=[machine("a"), machine("b")]))

    assert run.final_held_pages.tolist() == [0, 512]


def test_a_capture_of_a_running_guest_starts_from_its_state():
    state = [
        {"offset_bytes": 0, "length_bytes": HUGE, "page_state": PageState.RESIDENT},
        {"offset_bytes": HUGE, "length_bytes": MIB, "page_state": PageState.SWAPPED},
        {"offset_bytes": 2 * HUGE, "length_bytes": HUGE, "page_state": PageState.ZERO_PAGE},
    ]
    run = replay(trace([report(1, 0)], state=state))

    assert run.initial_resident_pages.tolist() == [512]
    assert run.initial_swapped_pages.tolist() == [256]
    assert run.final_resident_bytes == 0


def test_a_running_guest_starts_with_its_features_and_poison_value():
    running = machine(features=1 << 4 | 1 << 5, poison_val=POISON_VAL)
    run = replay(trace([report(1, 0)], machines=[running]))

    assert run.events["skipped"]["poisoned"] == 1


def test_a_block_that_begins_within_a_huge_page_gets_none_at_its_edges():
    block = RamBlock(
        name="pc.ram",
        used_bytes=8 * MIB,
        page_bytes=PAGE_BYTES,
        shared=False,
        transparent_huge_page=True,
        huge_page_offset_bytes=MIB,
    )
    events = [touch(1, 0, -1), touch(2, MIB, -1), touch(3, 7 * MIB, -1)]
    run = replay(trace(events, machines=[machine(ram_blocks=(block,))]))

    assert run.ledger.resident_delta_pages.tolist() == [1, 512, 1]


def test_two_blocks_are_two_places():
    block = machine().ram_blocks[0]
    in_second = {**touch(2, 0), "ram_block": 1}
    run = replay(trace([touch(1, 0), in_second], machines=[machine(ram_blocks=(block, block))]))

    assert run.final_resident_bytes == 2 * HUGE


def test_swapping_moves_pages_between_the_two_sums():
    run = replay(trace([touch(1, 0), swap_out(2, 0), swap_in(3, PAGE_BYTES)]))

    assert run.ledger.swapped_delta_pages.tolist() == [0, 512, -1]
    assert run.ledger.resident_delta_pages.tolist() == [512, -512, 1]


def test_partly_discarded_huge_pages_are_still_held():
    run = replay(trace([touch(1, 0), report(2, 0, MIB)]))

    assert run.final_resident_bytes == MIB
    assert run.final_held_pages.tolist() == [512]
    assert run.ledger.freed_pages.tolist() == [0, 0]


# --- lineage and determinism --------------------------------------------------------------------


def test_equal_inputs_give_equal_bytes():
    one, other = replay(trace(REPORTED)), replay(trace(REPORTED))

    for field in dataclasses.fields(one.ledger):
        mine, yours = getattr(one.ledger, field.name), getattr(other.ledger, field.name)
        assert mine.tobytes() == yours.tobytes()
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_deleting_the_samples_changes_nothing_but_the_error():
    samples = [sample(0.8, 0), sample(1.5, 4 * MIB), sample(9, 2 * MIB)]
    with_samples, without = replay(trace(REPORTED, samples=samples)), replay(trace(REPORTED))

    for field in dataclasses.fields(without.ledger):
        assert np.array_equal(
            getattr(with_samples.ledger, field.name), getattr(without.ledger, field.name)
        )
    assert with_samples.lineage == without.lineage
    assert with_samples.events == without.events
    assert with_samples.model_error["samples"] == 3
    assert without.model_error["resident_bytes"] is None


def test_wrong_samples_change_nothing_but_the_error():
    right, wrong = sample(9, 2 * MIB), sample(9, 8 * MIB)
    one, other = (replay(trace(REPORTED, samples=[row])) for row in (right, wrong))

    assert np.array_equal(one.ledger.resident_delta_pages, other.ledger.resident_delta_pages)
    assert other.model_error["resident_bytes"]["final_pages"] == -6 * MIB // PAGE_BYTES


def test_the_lineage_names_trace_settings_model_and_versions():
    hand = trace(REPORTED)
    run = replay(hand, guest=Guest(poison_val=1))

    assert run.lineage["trace"] == hand.digest
    assert run.lineage["settings"]["guest"]["poison_val"] == 1
    assert run.lineage["model"] == model_digest()
    assert run.lineage["versions"]["workbench"] == workbench.__version__


def test_the_ledger_cannot_be_written():
    run = replay(trace(REPORTED))

    for field in dataclasses.fields(run.ledger):
        with pytest.raises(ValueError, match="read-only"):
            getattr(run.ledger, field.name)[0] = 0


def test_settings_in_one_are_device_and_guest():
    settings = Settings(guest=Guest(poison_val=1))
    one, other = (
        replay(trace(REPORTED), settings=settings),
        replay(trace(REPORTED), guest=Guest(poison_val=1)),
    )

    assert one.to_dict() == other.to_dict()


def test_settings_come_in_one_way_only():
    with pytest.raises(UsageError, match="not both"):
        replay(trace(REPORTED), settings=Settings(), guest=Guest())


# --- what it says of itself ---------------------------------------------------------------------


def test_the_document_is_json_and_has_its_keys():
    document = json.loads(json.dumps(replay(trace(REPORTED)).to_dict()))

    assert set(document) == {"lineage", "settings", "identifiable", "model_error", "events"}
    assert document["events"]["total"] == document["events"]["applied"] == 8


def test_skipped_ranges_are_not_applied():
    assert replay(trace(POISONED)).events["applied"] == len(POISONED) - 2


def test_the_repr_says_trace_settings_and_end():
    text = repr(replay(trace(REPORTED), guest=Guest(poison_val=POISON_VAL)))

    assert "hand" in text
    assert "poison_val 0xaaaaaaaa" in text
    assert "4.00 MiB" in text
    assert "unknown (the trace has no samples of this machine)" in text


def test_the_repr_says_how_far_off_it_was():
    exact = [sample(0.8, 0), sample(9, 2 * MIB)]
    busy = [sample(1.05, 2 * MIB)]

    said = "0.00 % of the peak on average"

    assert f"{said}, +0 pages at the end\n" in repr(replay(trace(REPORTED, samples=exact)))
    assert f"{said}\n" in repr(replay(trace(REPORTED, samples=busy)))


def test_the_notebook_table_escapes_what_a_trace_is_called():
    run = replay(trace(REPORTED, machines=[machine("<b>")]))
    named = dataclasses.replace(
        run, trace=dataclasses.replace(run.trace, path=run.trace.path.with_name("<i>.trace"))
    )

    assert "<i>" not in named._repr_html_()
    assert "&lt;i&gt;" in named._repr_html_()


def test_surprises_are_counted_for_the_capture_and_for_the_question():
    events = [features(0.5), touch(1, 0, PAGE_BYTES), touch(2, 0)]
    run = replay(trace(events))

    assert run.events["surprises"]["huge_page_not_had"] == 1
    assert run.events["as_captured"]["surprises"] == run.events["surprises"]
    assert run.ledger.surprise.tolist()[1] == Surprise.HUGE_PAGE_NOT_HAD


def test_a_huge_page_that_no_longer_fits_is_noted():
    """A page that stays keeps the huge page away, and what else was touched left no fault."""
    refused = {**touch(1, 0, PAGE_BYTES), "status": FaultFlag.WRITE | FaultFlag.HUGE_REFUSED}
    hand = trace([refused, report(2, 0), discard(report(2, 0)), touch(3, PAGE_BYTES)])
    poisoned = replay(hand, guest=Guest(poison_val=POISON_VAL))

    assert poisoned.final_resident_bytes == 2 * PAGE_BYTES
    assert any(note.startswith("1 huge pages") for note in poisoned.identifiable.notes)
    assert replay(hand).identifiable.notes == ()


# --- QEMU's own decisions -----------------------------------------------------------------------


def differing(*events):
    return replay(trace(list(events))).events["as_captured"]["differing_decisions"]


def test_decisions_that_agree_do_not_differ():
    assert differing(*REPORTED) == 0


def test_a_discard_that_qemu_did_not_make_differs():
    assert differing(report(1, 0)) == 1


def test_a_discard_that_no_report_asked_for_differs():
    assert differing(discard(report(1, 0))) == 1


def test_a_range_named_twice_is_discarded_twice():
    """QEMU executes duplicates again; the first answer belongs to the first range."""
    row = report(2, 0)
    events = [touch(1, 0), row, row, discard(row), discard(row, -22)]
    run = replay(trace(events))

    assert run.events["as_captured"]["differing_decisions"] == 0
    assert run.ledger.outcome.tolist()[1:3] == [Outcome.DISCARDED, Outcome.DISCARD_FAILED]


def test_elements_and_machines_are_told_apart():
    one, other = report(2, 0, element=1), report(2, 0, element=2)
    foreign = report(2, 0, element=1, vm=1)
    events = [one, other, foreign, discard(other)]
    run = replay(trace(events, machines=[machine("a"), machine("b")]))

    assert run.events["as_captured"]["differing_decisions"] == 2


def test_what_the_host_refused_stays():
    row = report(2, 0)
    run = replay(trace([touch(1, 0), row, discard(row, -22)]))

    assert run.final_resident_bytes == HUGE
    assert run.events["discards_failed"] == 1
    assert run.events["as_captured"]["differing_decisions"] == 0


# --- damaged traces -----------------------------------------------------------------------------


def test_an_event_outside_the_machine_is_named_by_its_row_in_the_trace():
    events = [touch(1, 0, vm=1), touch(2, 64 * MIB, vm=0)]

    with pytest.raises(InputError, match=r"row 1 is a fault with vm 0.*offset_bytes 67108864"):
        replay(trace(events, machines=[machine("a"), machine("b")]))


@pytest.mark.parametrize(
    "row",
    [
        {"ram_block": 1, "length_bytes": PAGE_BYTES},
        {"offset_bytes": 8 * MIB, "length_bytes": PAGE_BYTES},
        {"offset_bytes": -PAGE_BYTES, "length_bytes": PAGE_BYTES},
        {"length_bytes": -1},
        {"length_bytes": PAGE_BYTES, "page_state": 32},
    ],
)
def test_a_state_that_cannot_be_is_named(row):
    with pytest.raises(InputError, match="row 0 has block"):
        replay(trace([], state=[row]))


def test_an_empty_trace_is_replayed():
    run = replay(trace([]))

    assert run.final_resident_bytes == 0
    assert run.events["total"] == 0
