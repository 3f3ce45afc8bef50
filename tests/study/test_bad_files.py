"""What is wrong in a study file: one sentence, with the file, the line and the key."""

from __future__ import annotations

import re

import pytest

from tests.study.study_files import GUEST, HOST, study_of, write_series, write_study
from workbench.errors import InputError
from workbench.study import read_study

FIRST = 4
"""The line of what is put behind GUEST."""

LAST = 6
"""The line of what is put behind GUEST and HOST."""


def refusal(folder, text):
    """Say why a study file is refused: its lines, and the sentence."""
    with pytest.raises(InputError) as refused:
        study_of(folder, text)
    sentence = str(refused.value)
    found = re.match(rf"{re.escape(str(folder))}/spring\.toml, lines? ([\d, and]+): (.*)", sentence)

    assert found, sentence
    assert "\n" not in sentence
    return [int(each) for each in re.findall(r"\d+", found[1])], found[2]


@pytest.fixture
def folder(tmp_path):
    write_series(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("guest.weight", "0", "a whole number from 1 to 1,000,000"),
        ("guest.weight", "1.0", "a whole number from 1"),
        ("guest.weight", "true", "guest.weight is true, expected a whole number from 1"),
        ("guest.weight", "[true]", "guest.weight is [true], expected"),
        ("guest.weight", "2026-01-01", "guest.weight is 2026-01-01, expected"),
        ("guest.weight", "{name = 'a', n = [1]}", "is {name = 'a', n = [1]}, expected"),
        ("host.reserved", "'1.5G'", "no fractions"),
        ("guest.weight", "'3'", "a whole number from 1"),
        ("guest.weight", "9" * 4000, "a whole number from 1"),
        ("guest.guests_per_phase", "0", "a whole number from 1 to 10,000"),
        ("guest.phase", "'recoded'", "recorded or random; did you mean 'recorded'?"),
        ("guest.phase", "3", "recorded or random"),
        ("guest.shift", "6", "with its unit, such as"),
        ("guest.shift", "'6 hours'", "with its unit, such as"),
        ("guest.shift", "'90000d'", "a time within 146 years"),
        ("guest.clock_offset", "-90", "with its unit, such as"),
        ("guest.huge_share", "1.5", "a number from 0 to 1"),
        ("guest.huge_share", "nan", "a number from 0 to 1"),
        ("guest.huge_share", "'80 %'", "a number from 0 to 1"),
        ("guest.device", "true", "a table of settings"),
        ("guest.device", "[1]", "a table of settings"),
        ("guest.device.page_poison", "3", "on or off"),
        ("guest.guest.reporting_order", "[9]", "a whole number from 0 to 10"),
        ("guest.guest.poison_val", "-1", "a whole number from 0x0 to 0xffffffff"),
        ("host.reserved", "2", "with its unit, such as"),
        ("host.reserved", "'-2G'", "a size up to 4 PiB, with its unit"),
        ("host.swap", "'nvme'", "zram or ssd or disk"),
        ("host.swap_room", "8", "a size up to 4 PiB, with its unit"),
        ("host.name", "''", "a text of 1 to 200 characters"),
        ("host.name", "3", "a text of 1 to 200 characters"),
        ("compare.inhibited_share", "0.1", "a list of what to compare, such as [0.0, 0.1]"),
        ("compare.inhibited_share", "[]", "a list of what to compare"),
        ("compare.guest.reporting_order", "9", "a list of what to compare, such as [0, 9]"),
        ("compare.guest.reporting_order", "[]", "a list of what to compare"),
        ("compare.device", "3", "a table of settings"),
        ("limit.share_of_time", "0", "a number above 0 and up to 1"),
        ("limit.share_of_time", "1.01", "a number above 0 and up to 1"),
        ("limit.drain", "60", "with its unit, such as"),
        ("limit.drain", "'0s'", "a time above 0"),
        ("limit.swap_in_pages_per_second", "-1", "a number from 0"),
        ("cost.fault_ns", "-1", "a time up to 1 s"),
        ("cost.huge_fault_ns", "'2s'", "a time up to 1 s"),
        ("step", "60", "a time above 0, with its unit"),
        ("step", "'0s'", "a time above 0, with its unit"),
        ("seeds", "[]", "1 to 1,000 different whole numbers from 0"),
        ("seeds", "[1, 1]", "1 to 1,000 different whole numbers from 0"),
        ("seeds", "[-1]", "1 to 1,000 different whole numbers from 0"),
        ("seeds", "[1.0]", "1 to 1,000 different whole numbers from 0"),
        ("seeds", str([*range(1001)]), "1 to 1,000 different whole numbers from 0"),
        ("name", "''", "a text of 1 to 200 characters"),
    ],
)
def test_a_value_that_cannot_be(folder, key, value, expected):
    table, _, rest = key.rpartition(".") if key.count(".") < 2 else key.partition(".")
    assignment = f"{rest} = {value}\n"
    text, line = {
        "": (f"\n{assignment}{GUEST}{HOST}", 2),
        "guest": (f"{GUEST}{assignment}{HOST}", FIRST),
        "host": (f"{GUEST}{HOST}{assignment}", LAST),
    }.get(table, (f"{GUEST}{HOST}[{table}]\n# here\n{assignment}", LAST + 2))
    lines, sentence = refusal(folder, text)

    assert lines == [line]
    assert sentence.startswith(f"{key} is ")
    assert expected in sentence


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (f"seed = 3\n{GUEST}{HOST}", 1, "there is no 'seed'; did you mean 'seeds'?"),
        (f"{GUEST}weigth = 3\n{HOST}", FIRST, "there is no 'guest.weigth'; did you mean 'weight'?"),
        (f"{GUEST}{HOST}swap_rom = 3\n", LAST, "no 'host.swap_rom'; did you mean 'swap_room'?"),
        (f"{GUEST}{HOST}[limits]\n", LAST, "there is no 'limits'; did you mean 'limit'?"),
        (f"{GUEST}memory = '4G'\n{HOST}", FIRST, "'guest.memory'; it belongs in [[host]]"),
        (f"{GUEST}seeds = [3]\n{HOST}", FIRST, "belongs in the lines before all tables"),
        (f"{GUEST}{HOST}limit = 3\n", LAST, "'host.limit'; it is a table of its own: [limit]"),
        (
            f"{GUEST}reporting_order = 3\n{HOST}",
            FIRST,
            "it is a setting of the guest: guest = {reporting_order = ...}",
        ),
        (
            f"{GUEST}device.reporting_order = 3\n{HOST}",
            FIRST,
            "no 'guest.device.reporting_order'; it is a setting of the guest: move it there",
        ),
        (
            f"{GUEST}{HOST}[compare.device]\n\npage_poisn = [true]\n",
            LAST + 2,
            "there is no 'compare.device.page_poisn'; did you mean 'page_poison'?",
        ),
        (
            f"{GUEST}{HOST}[compare.device]\nfree_page_hint = [true]\n",
            LAST + 1,
            "hints make migrations shorter and no host larger: leave it out",
        ),
        (
            f"{GUEST}{HOST}[compare]\nhost.memory_bytes = ['2G']\n",
            LAST + 1,
            "there is no 'compare.host'; it is a table of its own: [[host]]",
        ),
        (f"{GUEST}{HOST}[cost]\nzzz = 3\n", LAST + 1, "there are fault_ns, huge_fault_ns"),
        (f'{GUEST}"\\u001b[31m\\n" = 3\n{HOST}', FIRST, r"there is no 'guest.\x1b[31m\n'"),
    ],
)
def test_a_name_that_is_not_known(folder, text, line, sentence):
    lines, found = refusal(folder, text)

    assert lines == [line]
    assert sentence in found


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "[[guest]] is missing, expected tables, one or more; add it"),
        (GUEST, 1, "[[host]] is missing"),
        (f"{HOST}\n[[guest]]\nseries = 'web-*.csv'\n", 4, "guest.name is missing"),
        (f"{GUEST}[[host]]\nname = 'x'\n", 4, "host.memory is missing, expected a size"),
        (f"[guest]\nname = 'x'\n{HOST}", 1, "write [[guest]] before the keys of each guest"),
        (f"guest = 3\n{HOST}", 1, "write [[guest]] before the keys of each guest"),
        (f"{GUEST}[host]\nmemory = '64G'\n", 4, "write [[host]] before the keys of each host"),
        (f"limit = 3\n{GUEST}{HOST}", 1, "limit is 3, expected a table"),
        (f"compare = []\n{GUEST}{HOST}", 1, "compare is [], expected a table"),
    ],
)
def test_a_table_that_is_not_there_or_none(folder, text, line, sentence):
    lines, found = refusal(folder, text)

    assert lines == [line]
    assert sentence in found


def test_of_several_mistakes_the_first_in_the_file_is_told(folder):
    assert refusal(folder, f"stepp = 3\n{GUEST}weight = 0\n{HOST}memry = 2\n")[0] == [1]
    assert refusal(folder, f"{GUEST}weight = 0\n{HOST}memry = 2\n")[0] == [FIRST]
    assert refusal(folder, f"{HOST}memry = 2\n{GUEST}weight = 0\n")[0] == [3]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("[0.0, 2]", LAST + 1),
        ("[\n 0.1,\n 0.2,\n 0.1,\n]", LAST + 4),
        ("[\n 0.1,\n true]", LAST + 3),
    ],
)
def test_an_element_of_a_list_is_told_by_its_own_line(folder, value, line):
    text = f"{GUEST}{HOST}[compare]\ninhibited_share = {value}\n"
    assert refusal(folder, text)[0] == [line]


def test_the_same_value_in_other_words_is_there_twice(folder):
    text = f"{GUEST}{HOST}[compare.guest]\nreporting_delay_ns = [\n '2s',\n 2_000_000_000,\n]\n"
    lines, sentence = refusal(folder, text)

    assert lines == [LAST + 3]
    assert "expected every value once" in sentence


def test_too_many_combinations_are_refused_before_they_are_made(folder):
    many = str([*range(1, 1001)])
    more = str([*range(10**6, 2 * 10**6, 1000)])
    text = f"[compare.guest]\nreporting_capacity = {many}\nreporting_delay_ns = {more}\n"
    lines, sentence = refusal(folder, GUEST + HOST + text)

    assert lines == [LAST]
    assert "1,000,000 combinations are compared, expected 100,000 at most" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n\n\xff\xfe = 3", "not text in UTF-8 (at line 3)"),
        (b"a = 1\nb = " + b"9" * 5000, "a number of thousands of digits (at line 2)"),
        (b"a = " + b"[" * 5000, "too deeply nested"),
        (b"a = 1\na = 2\n", "at line 2"),
        (b"a = \x00\n", "at line 1"),
        (b"[[guest]\n", "at line 1"),
    ],
)
def test_what_is_no_toml(tmp_path, content, words):
    with pytest.raises(InputError, match=r"spring\.toml: not TOML") as refused:
        study_of(tmp_path, content)

    assert words in str(refused.value)


def test_a_file_that_editors_of_windows_wrote_is_read(folder):
    text = (GUEST + HOST).replace("\n", "\r\n").encode("utf-8-sig")
    assert read_study(write_study(folder, text)).name == "spring"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: cannot be read \(No such file"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read_study(tmp_path)
