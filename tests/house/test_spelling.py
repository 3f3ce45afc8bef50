"""Wrong names are answered with the closest right one, wherever they are asked for."""

from __future__ import annotations

import copy

import pytest

import workbench as wb
from tests.synthetic import fault, write_trace
from workbench import measure, plot, trace
from workbench.errors import InputError, UsageError
from workbench.replay import identify
from workbench.spelling import Named, on_one_line, suggestion, visible

KNOWN = ("free_page_reporting", "length_bytes", "element", "poison_val")


@pytest.fixture(scope="module")
def one_fault(tmp_path_factory):
    """A trace of one fault."""
    return write_trace(tmp_path_factory.mktemp("traces") / "one.trace", [fault(1, 0)])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("free_page_reportng", "free_page_reporting"),
        ("Poison_Val", "poison_val"),
        ("length", "length_bytes"),  # Its unit is what people leave out.
        ("lenght", "length_bytes"),
    ],
)
def test_the_closest_name_is_suggested(typed, meant):
    assert suggestion(typed, KNOWN) == f"; did you mean {meant!r}?"


def test_a_name_like_no_other_is_answered_with_what_there_is():
    assert suggestion("zzz", KNOWN) == ""
    assert suggestion("zzz", KNOWN, otherwise="see the list") == "; see the list"
    assert suggestion("", ("a",), otherwise="there is a") == "; there is a"


def test_several_names_that_are_close_may_be_suggested():
    assert suggestion("compar", ("compare", "compute", "x"), most=3) == (
        "; did you mean 'compare' or 'compute'?"
    )


def test_a_dictionary_that_knows_its_names_is_one_like_any_other():
    named = Named({"time_ns": 1}, "column")

    assert (named["time_ns"], named.get("time"), "time" in named) == (1, None, False)
    with pytest.raises(KeyError) as caught:
        named["tiem_ns"]
    assert str(caught.value) == "there is no column 'tiem_ns'; did you mean 'time_ns'?"
    for twin in (copy.copy(named), copy.deepcopy(named)):
        assert (twin, twin.what) == (named, "column")


@pytest.mark.parametrize(
    ("package", "typed", "meant"),
    [
        (wb, "repaly", "replay"),
        (plot, "resident_memry", "resident_memory"),
        (measure, "compre", "compare"),
        (wb.measure, "metrcs", "metrics"),
        (trace, "read_trce", "read_trace"),
    ],
)
def test_a_package_answers_a_wrong_name(package, typed, meant):
    with pytest.raises(AttributeError, match=f"did you mean '{meant}'") as caught:
        getattr(package, typed)
    assert not hasattr(package, typed)
    # The interpreter would suggest it once more if it did not know the name.
    assert caught.value.name == typed


@pytest.mark.parametrize("package", [wb, plot, measure, trace])
def test_a_package_completes_to_its_public_names(package):
    assert dir(package) == sorted(package.__all__)
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


@pytest.mark.parametrize(
    ("ask", "meant"),
    [
        (lambda _: wb.Guest(posion_val=1), "poison_val"),
        (lambda _: wb.Host(memory=1), "memory_bytes"),
        (lambda _: wb.Settings(gest=wb.Guest()), "guest"),
        (lambda t: t.columns("evnets"), "events"),
        (lambda t: t.columns("events")["tiem_ns"], "time_ns"),
        (lambda t: t.columns("samples")["resident"], "resident_bytes"),
        (lambda t: t.batches("events", ["lenght_bytes"]), "length_bytes"),
        (lambda t: t.has("smaples"), "samples"),
        (lambda t: t.frame("state_"), "state"),
        (lambda t: wb.replay(t, gest=wb.Guest()), "guest"),
        (lambda t: wb.curve(t, hots=wb.Host()), "host"),
        (lambda t: wb.totals(t, row_cuont=1), "row_count"),
        (lambda t: wb.replay_all(t, [], worker=1), "workers"),
        (lambda t: measure.metrics(wb.replay(t))["reclaimed_byte"], "reclaimed_bytes"),
        (lambda t: measure.measured_metrics(t)["measured_resident_mean"], "measured_resident"),
        (lambda t: measure.metric_table(wb.replay(t), "refault"), "refaults"),
    ],
)
def test_a_wrong_name_in_a_notebook_is_a_usage_error_with_the_right_one(ask, meant, one_fault):
    with pytest.raises(UsageError, match=f"did you mean '{meant}"):
        ask(one_fault)


def test_a_wrong_parameter_is_a_type_error_too(one_fault):
    with pytest.raises(TypeError, match="replay has no parameter 'gest'"):
        wb.replay(one_fault, gest=None)


def test_a_path_instead_of_a_trace_is_answered_with_how_to_read_it():
    for ask in (wb.replay, wb.curve, wb.totals, identify):
        with pytest.raises(UsageError, match="read_trace"):
            ask("traces/churn-on.trace")


def test_a_trace_instead_of_a_run_is_answered_with_how_to_replay_it(one_fault):
    for ask in (lambda t: wb.compare(t, t), measure.metrics, measure.metric_table):
        with pytest.raises(UsageError, match=r"a Trace was given, expected a run: replay\(trace\)"):
            ask(one_fault)


def test_a_table_of_settings_in_the_place_of_another_is_refused(one_fault):
    with pytest.raises(UsageError, match=r"guest is Device\(page_poison=True\), expected Guest"):
        wb.replay(one_fault, guest=wb.Device(page_poison=True))


def test_a_trace_that_is_not_there_is_answered_with_the_closest():
    with pytest.raises(InputError, match=r"no such trace folder; did you mean 'churn-on.trace'\?"):
        wb.read_trace("traces/chrun-on.trace")
    with pytest.raises(InputError, match="no such trace folder; `ls traces/`"):
        wb.read_trace("nowhere/at/all")


def test_what_a_terminal_would_obey_is_spelt_out():
    assert visible("a\x1b[31mb\nc") == "a\\x1b[31mb\nc"
    assert on_one_line("a\nb\tc\u202e") == "a\\nb\\tc\\u202e"
