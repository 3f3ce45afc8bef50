from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError, UsageError
from workbench.lab import (
    bundled_scenarios,
    load_scenario,
    parse_scenario,
    parse_size,
    random_overcommit_scenario,
    random_scenario,
)
from workbench.lab.scenario import STEPS_MAX
from workbench.lab.settings import room_for_files_bytes
from workbench.units import GIB, KIB, MIB


def steps_of(text):
    return parse_scenario(text, name="test").steps


def problem_of(text):
    with pytest.raises(InputError) as caught:
        parse_scenario(text, name="test", origin="mine.scenario")
    return str(caught.value)


def test_every_field_of_a_step_is_read():
    take, scatter, idle = steps_of("take a 2M text # why\nscatter b 7 8K zero\nidle 1.5\n")

    assert (take.word, take.name, take.size_bytes, take.fill) == ("take", "a", 2 * MIB, "text")
    assert (scatter.count, scatter.size_bytes, scatter.fill) == (7, 8 * KIB, "zero")
    assert idle.duration_ms == 1500
    assert [take.line, scatter.line, idle.line] == [1, 2, 3]


def test_memory_is_filled_with_random_data_unless_said_otherwise():
    assert [step.fill for step in steps_of("take a 4K\nrewrite a\nidle 1")] == [
        "random",
        "random",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "duration_ms"), [("4", 4000), ("4s", 4000), ("250ms", 250), ("2m", 120_000)]
)
def test_times_have_units(text, duration_ms):
    assert steps_of(f"idle {text}")[0].duration_ms == duration_ms


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("4096", 4096), ("64K", 64 * KIB), ("3m", 3 * MIB), ("1GiB", GIB), ("2MB", 2 * MIB)],
)
def test_sizes_have_binary_units(text, size_bytes):
    assert parse_size(text) == size_bytes


def test_repeats_are_unrolled_and_may_be_nested():
    steps = steps_of("repeat 2 {\n take a 4K\n repeat 3 {\n touch a\n }\n free a\n}\nidle 1")

    words = [step.word for step in steps]
    assert words == ["take", "touch", "touch", "touch", "free"] * 2 + ["idle"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tak a 4K", "mine.scenario:1: unknown step 'tak'"),
        ("idle 1\ntak a 4K", "did you mean 'take'?"),
        ("take a 4K randm", "did you mean 'random'?"),
        ("take a", "should be written `take NAME SIZE [random|zero|text]`"),
        ("take a 4K text more", "should be written"),
        ("take A 4K", "'A' is no name"),
        ("take a 4T", "'4T' is no size"),
        ("take a 5000", "not a whole number of pages"),
        ("take a 0", "not a whole number of pages"),
        ("idle 0", "'0' is no time"),
        ("idle soon", "'soon' is no time"),
        ("scatter a 0 4K", "'0' is no count"),
        ("touch a", "touch a: nothing of that name is held"),
        ("take album 4K\ntouch albun", "mine.scenario:2: touch albun: nothing of that name"),
        ("take album 4K\ntouch albun", "did you mean 'album'?"),
        ("take a 4K\ntake a 4K", "'a' is held already; free it first"),
        ("save a 4K\nsave a 4K", "'a' is held already; delete it first"),
        ("repeat 2 {\ntake a 4K\n}", "mine.scenario:2: 'a' is held already"),
        ("take a 4K\nthin a", "thin does not work on 'a'"),
        ("scatter a 2 4K\ntouch a", "it needs take"),
        ("take a 4K\nload a", "nothing of that name is held"),
        ("repeat 2 {\nidle 1", "mine.scenario:1: this repeat is never closed"),
        ("idle 1\n}", "mine.scenario:2: a closing brace without"),
        ("repeat {\nidle 1\n}", "write `repeat N {`"),
        (f"repeat {STEPS_MAX} {{\nidle 1\nidle 1\n}}", f"more than {STEPS_MAX} steps"),
        ("# nothing\n", "no steps"),
    ],
)
def test_a_line_that_cannot_be_understood_is_answered_with_what_to_write(text, problem):
    assert problem in problem_of(text)


def test_too_many_steps_are_refused_before_they_are_unrolled():
    """Nested repeats multiply: this would be 10**16 steps."""
    nested = "repeat 10000 {\n" * 4 + "idle 1\n" + "}\n" * 4
    assert "more than" in problem_of(nested)


def test_the_peak_counts_what_is_held_at_one_time():
    text = "take a 8M\nfree a\nscatter b 4 1M\nthin b\ntake c 1M\nsave d 64M\nfree b"
    assert parse_scenario(text, name="test").peak_bytes == 8 * MIB


def test_a_disk_is_needed_only_for_saved_files():
    assert parse_scenario("save d 64M\ndelete d", name="test").needs_disk
    assert parse_scenario("save d 64M\ndelete d\nsave e 1M", name="test").disk_bytes == 65 * MIB
    assert not parse_scenario("take d 64M\ndrop-caches", name="test").needs_disk


def test_a_step_is_found_by_number_or_by_mark():
    scenario = parse_scenario("idle 1\nmark halfway\nidle 1", name="test")

    assert scenario.step_number("3") == 3
    assert scenario.step_number("halfway") == 2
    with pytest.raises(UsageError, match="did you mean 'halfway'"):
        scenario.step_number("halfways")
    with pytest.raises(UsageError, match="it has steps 1 to 3"):
        scenario.step_number("4")


@pytest.mark.parametrize("name", bundled_scenarios())
def test_every_bundled_scenario_fits_into_a_guest_of_the_default_size(name):
    assert 0 <= load_scenario(name).peak_bytes <= room_for_files_bytes(512 * MIB)


def test_the_scenarios_that_must_be_there_are_there():
    assert {"churn", "staircase", "idle", "file-cache", "fragment", "pressure", "quick"} <= set(
        bundled_scenarios()
    )


def test_an_unknown_scenario_is_answered_with_the_closest():
    with pytest.raises(UsageError, match="did you mean 'churn'"):
        load_scenario("chrun")


def test_a_scenario_may_be_any_file(tmp_path):
    path = tmp_path / "mine.scenario"
    path.write_text("idle 1\n", encoding="utf-8")

    assert load_scenario(path).name == "mine"
    assert load_scenario(str(path)) == load_scenario(path)


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="cannot read this scenario"):
        load_scenario(tmp_path / "absent.scenario")
    (tmp_path / "binary.scenario").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        load_scenario(tmp_path / "binary.scenario")


@given(seed=st.integers(0, 2**64))
def test_scenarios_made_up_at_random_are_good_scenarios(seed):
    """They parse (which checks every name), stay within their limit, and free everything."""
    scenario = random_scenario(seed)

    assert scenario == random_scenario(seed)
    assert scenario.peak_bytes <= 256 * MIB
    made = [step.name for step in scenario.steps if step.word in ("take", "scatter")]
    freed = [step.name for step in scenario.steps if step.word == "free"]
    assert sorted(made) == sorted(freed)
    assert made


@given(seed=st.integers(0, 2**64))
def test_overcommitted_scenarios_made_up_at_random_ask_for_too_little_memory(seed):
    """What is kept is never freed, and read now and then; two guests want more than there is."""
    scenario = random_overcommit_scenario(seed)
    host = scenario.host

    assert scenario == random_overcommit_scenario(seed)
    assert host.guest_count == 2
    assert 440 * MIB <= host.memory_limit_bytes < 560 * MIB
    assert host.zram_bytes
    assert scenario.peak_bytes <= 256 * MIB
    made = [step.name for step in scenario.steps if step.word in ("take", "scatter")]
    freed = [step.name for step in scenario.steps if step.word == "free"]
    assert sorted([*freed, "kept"]) == sorted(made)
    assert [step.name for step in scenario.steps if step.word == "touch"].count("kept") == 3


@given(text=st.text(alphabet="take free repeat{}\n 4K5#ab", max_size=80))
def test_no_text_makes_the_parser_fail_in_any_other_way(text):
    with suppress(InputError):
        parse_scenario(text, name="test")


def test_lines_of_host_say_which_host_a_scenario_is_made_for():
    text = "# Why.\nhost guests 2\nhost memory-limit 500M\nhost swap-file 2G\nhost page-cluster 3\n"
    host = parse_scenario(f"{text}idle 1", name="test").host

    assert (host.guest_count, host.memory_limit_bytes) == (2, 500 * MIB)
    assert (host.zram_bytes, host.swap_file_bytes, host.page_cluster) == (None, 2 * GIB, 3)


def test_a_scenario_without_lines_of_host_recommends_nothing():
    host = parse_scenario("idle 1", name="test").host
    assert (host.guest_count, host.memory_limit_bytes, host.zram_bytes) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("host guests 2\nhost swop 2G\nidle 1", "mine.scenario:2: unknown word 'swop'"),
        ("host swop 2G\nidle 1", "did you mean 'swap'?"),
        ("host guests two\nidle 1", "mine.scenario:1: 'two' is no whole number"),
        ("host swap lots\nidle 1", "'lots' is no size"),
        ("host guests\nidle 1", "should be written `host WORD VALUE`"),
        ("host guests 2\nhost guests 3\nidle 1", "mine.scenario:2: `host guests` is said twice"),
        ("idle 1\nhost guests 2", "mine.scenario:2: lines of `host` stand before the first step"),
    ],
)
def test_a_wrong_line_of_host_is_named(text, problem):
    assert problem in problem_of(text)


@pytest.mark.parametrize("name", ["peaks-alternate", "peaks-coincide", "zero-filled", "readahead"])
def test_the_scenarios_for_overcommitted_hosts_say_all_that_is_needed(name):
    host = load_scenario(name).host

    assert host.guest_count == 2
    assert host.memory_limit_bytes < 2 * 512 * MIB
    assert host.zram_bytes or (host.swap_file_bytes and host.page_cluster == 3)
