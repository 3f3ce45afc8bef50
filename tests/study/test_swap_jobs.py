"""What a study of traces says of swap: asked of which guests, kept by job, and said everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.report.hostile import NAMES
from tests.report.pages import Page
from tests.study.made_studies import series_needing
from tests.study.test_sweep import contents
from tests.study.traced_studies import AS_CAPTURED, TWICE, kind_of, study_of
from workbench.cli.app import run
from workbench.report import render, report_on_plan
from workbench.study import HostKind, plan, read_plan
from workbench.study import swap_jobs as module
from workbench.study.swap import HostSwap, swap_frame, swap_on_host
from workbench.study.swap_jobs import ONCE, SEEDS_MOST, UNSEEN, swap_questions
from workbench.study.swap_words import swap_means, swap_sentences
from workbench.study.sweep import sweep
from workbench.trace import read_trace
from workbench.units import GIB, MIB

TRACES = Path(__file__).parents[2] / "traces"


def a_study(*hosts, seeds=(1, 2), **others):
    """Of guests that begin whenever, on hosts that are small."""
    made = study_of(kind_of(read_trace(TRACES / "churn-on.trace")), seeds=seeds, **others)
    return replace(made, hosts=hosts or (HostKind(name="host", memory_bytes=2 * GIB, swap="zram"),))


def text_of(made):
    """Give what is read on the page of a plan."""
    page = Page(render(report_on_plan(made)))
    page.check()
    return page.text


def guests_of(**fits):
    """Answers in which so many fit, by host and variant."""
    rows = [{"host": host, "guests": count} for host, counts in fits.items() for count in counts]
    return pd.DataFrame(rows)


def asked(study, answers):
    """What is asked, by host and variant: numbers of guests and draws."""
    questions, _ = swap_questions(study, answers)
    return {
        where: sorted((each.guests, each.seed) for each in several)
        for where, several in questions.items()
    }


def test_what_is_asked_is_of_as_many_guests_as_fit_and_of_more():
    """Without reporting and under the first of the best, on each host that has swap."""
    study = a_study(
        *(
            HostKind(name=name, memory_bytes=GIB, swap=swap)
            for name, swap in (("a", "zram"), ("b", "disk"), ("c", None), ("d", "ssd"))
        )
    )
    later = replace(AS_CAPTURED, inhibited_share=0.5)
    study = replace(study, variants=(*study.variants, later))

    found = asked(study, guests_of(a=[2, 3, 4], b=[0, 5, 5], c=[1, 2, 3], d=[0, 0, 0]))

    assert found == {
        (0, 0): [(count, seed) for count in (2, 4, 5) for seed in (1, 2)],
        (0, 2): [(count, seed) for count in (2, 4, 5) for seed in (1, 2)],
        (1, 0): [(count, seed) for count in (5, 7) for seed in (1, 2)],
        (1, 1): [(count, seed) for count in (5, 7) for seed in (1, 2)],
        (3, 0): [],
        (3, 1): [],
    }


def test_of_many_draws_the_first_are_asked_and_that_is_said(tmp_path):
    made = plan(a_study(seeds=(5, 6, 7)), folder=tmp_path / "result", progress=False)

    assert set(made.swap["seed"]) == {5, 6}
    assert f"swap: of the first {SEEDS_MOST} of 3 draws" in made.swap_notes


def test_guests_with_too_much_memory_are_not_followed_and_that_is_said(monkeypatch):
    study = a_study()
    (machine,) = study.guests[0].members[0].manifest.virtual_machines
    ram_bytes = sum(block.used_bytes for block in machine.ram_blocks)
    monkeypatch.setattr(module, "RAM_BYTES_MOST", 4 * ram_bytes)

    questions, notes = swap_questions(study, guests_of(host=[2, 4]))

    assert {each.guests for several in questions.values() for each in several} == {2, 4}
    assert "5 guests and more on host were not followed" in " ".join(notes)


def test_the_frame_is_what_asking_directly_says(tmp_path):
    study = a_study()
    made = plan(study, folder=tmp_path / "result", progress=False)

    fits = made.answers["guests"].tolist()
    counts = sorted({fits[0], max(fits), max(fits) + -(-max(fits) // 4)})
    rows = [
        row
        for variant in study.variants
        for seed in study.seeds
        for row in swap_on_host(study, study.hosts[0], variant, counts, seed)
    ]
    assert fits[1] > fits[0]
    pd.testing.assert_frame_equal(made.swap, swap_frame(rows))
    pd.testing.assert_frame_equal(read_plan(tmp_path / "result").swap, made.swap)


def test_what_is_avoided_is_what_is_swapped_without_less_what_is_swapped_with(tmp_path):
    made = plan(a_study(), folder=tmp_path / "result", progress=False)

    key = ["host", "guests", "seed"]
    frame = made.swap.set_index(["variant", *key]).sort_index()
    without, with_reporting = (
        frame.loc[label] for label in ("without reporting", AS_CAPTURED.label)
    )
    for name in ("swap_in", "swap_out"):
        less = without[f"{name}_pages"] - with_reporting[f"{name}_pages"]
        assert (with_reporting[f"{name}_avoided_pages"] == less).all()
        assert (without[f"{name}_avoided_pages"] == 0).all()
    assert with_reporting["swap_out_avoided_pages"].max() > 0


def test_where_memory_is_ample_nothing_is_avoided():
    """One guest that fits twice: nothing goes to swap, whatever is compared."""
    ample = a_study(HostKind(name="host", memory_bytes=8 * GIB, swap="zram"))
    rows = [
        row
        for variant in ample.variants
        for row in swap_on_host(ample, ample.hosts[0], variant, [1], 1)
    ]
    frame = swap_frame(rows)
    answers = guests_of(host=[1, 1])

    assert swap_means(frame)["swap_out_avoided_pages"].tolist() == [0, 0]
    assert swap_sentences(frame, answers) == [
        "On host 1 guest swaps nothing, with reporting or without."
    ]


ROW = HostSwap(
    host="host", variant="without reporting", seed=1, guests=3, inhibited_guests=0, seconds=1.0,
    swap_in_pages=262_144, swap_out_pages=1000, swap_in_dead_pages=None, swap_out_dead_pages=None,
    swap_read_pages=0, swap_written_pages=0, swap_in_pages_per_second_p99=0, swap_wait_seconds=0.0,
    swap_write_seconds=0.0, refaults=0, unmet_bytes=0,
)  # fmt: skip
BEST = ROW._replace(variant="order 0", swap_in_pages=0, swap_out_pages=488)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [ROW, BEST],
            (
                "On host 3 guests swap in 262,144 pages and out 1,000 without reporting, 0 and 488 "
                "with order 0: 1.00 GiB read and 2.00 MiB written are avoided."
            ),
        ),
        (
            [ROW, BEST, *(each._replace(seed=2, swap_in_pages=0) for each in (ROW, BEST))],
            (
                "On host 3 guests swap in 131,072 pages and out 1,000 without reporting, 0 and 488 "
                "with order 0: 512.00 MiB read and 2.00 MiB written are avoided, on the average of "
                "2 draws."
            ),
        ),
        (
            [ROW, BEST._replace(swap_out_pages=1512)],
            (
                "On host 3 guests swap in 262,144 pages and out 1,000 without reporting, 0 and "
                "1,512 with order 0: 1.00 GiB less read and 2.00 MiB more written."
            ),
        ),
        ([ROW], "On host 3 guests swap in 262,144 pages and out 1,000 without reporting."),
        ([ROW._replace(guests=1)], None),
    ],
    ids=["avoided", "of two draws", "more is written", "nothing compared", "other guests"],
)
def test_sentences_say_what_is_swapped_and_avoided(rows, sentence):
    found = swap_sentences(swap_frame(rows), guests_of(host=[2, 3]))

    assert found == ([] if sentence is None else [sentence])


def test_what_was_answered_is_kept_and_the_rest_is_computed(tmp_path):
    folder, fresh = tmp_path / "result", tmp_path / "fresh"
    plan(a_study(seeds=(1,)), folder=folder, progress=False)
    before = contents(folder)
    again = sweep(a_study(seeds=(1,)), folder)
    answers = len(again.swap.rows)
    assert (again.done["swaps"], again.kept["swaps"]) == (0, answers)
    plan(a_study(seeds=(1,)), folder=folder, progress=False)
    assert contents(folder) == before

    lost = min((folder / "jobs").glob("swaps-*"))
    lost.unlink()
    made = sweep(a_study(seeds=(1,)), folder)
    assert (made.done["swaps"], made.kept["swaps"]) == (1, answers - 1)
    assert lost.read_bytes() == before[f"jobs/{lost.name}"]

    plan(a_study(seeds=(1, 2)), folder=folder, progress=False)
    plan(a_study(seeds=(1, 2)), folder=fresh, progress=False)
    assert (folder / "swap.parquet").read_bytes() == (fresh / "swap.parquet").read_bytes()


def test_names_are_not_kept_with_answers(tmp_path):
    """Of a host that is called otherwise everything is known."""
    folder = tmp_path / "result"
    plan(a_study(), folder=folder, progress=False)
    (host,) = a_study().hosts

    made = sweep(a_study(replace(host, name="other")), folder)

    assert made.done["swaps"] == 0
    assert set(made.swap.rows["host"]) == {"other"}


def test_processes_find_the_same_bytes(tmp_path):
    threads, processes = tmp_path / "threads", tmp_path / "processes"
    plan(a_study(), folder=threads, progress=False)
    plan(a_study(), folder=processes, workers=2, progress=False)

    assert contents(processes) == contents(threads)


def test_studies_with_a_series_say_nothing_page_by_page(tmp_path):
    series = series_needing(MIB, 2 * MIB, MIB, total_bytes=8 * MIB)
    study = replace(a_study(), guests=(kind_of(series),))

    made = plan(study, folder=tmp_path / "result", progress=False)

    assert (len(made.swap), made.swap_sentences, made.swap_notes) == (0, (), ())
    assert made.swap.columns.tolist() == swap_frame([]).columns.tolist()
    assert "swap" not in [section.key for section in report_on_plan(made).sections]
    assert made.to_dict()["swap"] == []


def test_what_cannot_be_followed_is_said_and_the_answer_stays(tmp_path):
    """Memory of guests that were captured on hosts that are not alike adds up all the same."""
    study = a_study()
    study = replace(study, guests=(*study.guests, kind_of(TWICE, name="another")))

    made = plan(study, folder=tmp_path / "result", progress=False)

    assert made.sentences
    assert (len(made.swap), made.swap_sentences) == (0, ())
    assert "swap: not known page by page (" in " ".join(made.swap_notes)
    assert made.swap_notes[0] in text_of(made)


STUDY = """
step = "1s"
seeds = [1]

[[guest]]
name = "churn"
trace = "{trace}"

[[host]]
name = '''{host}'''
memory = "3G"
swap = "zram"

[compare]
guest = {{reporting_order = [0]}}
"""


def test_command_document_and_page_say_the_same(tmp_path, capsys):
    path, folder = tmp_path / "s.toml", tmp_path / "s.study"
    path.write_text(STUDY.format(trace=TRACES / "churn-order0.trace", host="small"))
    assert run(["plan", str(path), "-o", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert run(["plan", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    made = read_plan(folder)

    (sentence,) = made.swap_sentences
    assert sentence.startswith("On small ")
    assert "are avoided" in sentence
    assert document["swap_sentences"] == [sentence]
    assert document["swap_notes"] == [*made.swap_notes]
    assert {ONCE, UNSEEN} <= set(made.swap_notes)
    assert [row["swap_out_pages"] for row in document["swap"]] == [*made.swap["swap_out_pages"]]
    for text in (shown, text_of(made)):
        assert sentence in text
        assert all(note in text for note in made.swap_notes)
        for pages in swap_means(made.swap)["swap_out_pages"]:
            assert f"{pages:,.0f}" in text


def test_names_in_tables_of_swap_are_shown_and_do_nothing(tmp_path, capsys):
    hosts = (
        HostKind(name=name[:200], memory_bytes=GIB - n * MIB, swap="zram")
        for n, name in enumerate(NAMES[:4])
    )
    made = plan(a_study(*hosts, seeds=(1,)), folder=tmp_path / "result", progress=False)
    assert len(made.swap_sentences) == 4

    content = render(report_on_plan(made))
    page = Page(content)
    page.check()
    assert not [c for c in content.decode() if c not in "\n\u00a0" and not c.isprintable()]
    assert run(["plan", str(tmp_path / "result")]) == 0
    out = capsys.readouterr().out
    assert not [c for c in out if c != "\n" and not c.isprintable()]
