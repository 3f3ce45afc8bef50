import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.lab.words import Fact, Failure, FreeBlocks, Mark, Stage, parse_line


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("FACT kernel 6.1.0", Fact("kernel", "6.1.0")),
        ("READY 2.64", Stage("READY", 2_640_000_000)),
        ("WAIT 4.35", Stage("WAIT", 4_350_000_000)),
        ("MARK 3 4.35 begin take a 4K", Mark(3, 4_350_000_000, begins=True)),
        ("MARK 3 4.35 end take a 4K", Mark(3, 4_350_000_000, begins=False)),
        ("BUDDY 0.01 0 1 2 3 4 5 6 7 8 9 10", FreeBlocks(10_000_000, tuple(range(11)))),
        ("FAIL take a (no space left)", Failure("take a (no space left)")),
    ],
)
def test_every_word_of_the_guest_is_understood(text, word):
    assert parse_line(text) == word


@pytest.mark.parametrize(
    "text", ["", "BUDDY 0.01 0 1 2", "BUDDY x 0 1 2 3 4 5 6 7 8 9 10", "MARK a 1 begin", "DONE ?"]
)
def test_a_damaged_line_is_no_word(text):
    assert parse_line(text) is None


@given(st.text(alphabet="BUDYMARKFCTDONEQIW 0123456789.-", max_size=60))
def test_no_line_makes_the_lab_fail(text):
    parse_line(text)
