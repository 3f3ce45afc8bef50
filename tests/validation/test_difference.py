"""What differs first, and how it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.validation.difference import (
    Difference,
    differing_answer,
    differing_list,
    differing_memory,
)

STEPS = [("status_read",), ("fill", 0x1000, 16, 7), ("observe",)]
LENGTH = 4096


def memory_differing_at(*offsets):
    content = bytearray(LENGTH)
    for offset in offsets:
        content[offset] = 0xAB
    return content


def test_a_sentence_names_both_sides():
    difference = Difference(what="answer to observe", expected="0x1", found="0x3", step=4)

    assert difference.sentence() == "answer to observe after step 4: the model says 0x1, QEMU 0x3"


def test_a_sentence_without_a_step_names_none():
    difference = Difference(what="stderr, entry 0", expected="nothing", found="oops")

    assert difference.sentence() == "stderr, entry 0: the model says nothing, QEMU oops"


@pytest.mark.parametrize(
    "found",
    [
        differing_answer(STEPS, [[0xF], [None], [1, 2]], [[0xF], [None], [1, 2]]),
        differing_answer(STEPS, [(0xF,), (), [b"x"]], [[0xF], [], [b"x"]]),
        differing_answer([], [], []),
        differing_memory({"m0": b"abc"}, {"m0": bytearray(b"abc")}),
        differing_memory({}, {"pc.ram": b"abc"}),
        differing_list("trace", [("discard", 1)], [("discard", 1)]),
        differing_list("trace", [], []),
    ],
)
def test_what_is_alike_is_no_difference(found):
    """Of whatever type the sequences are; blocks that the model has not are not looked at."""
    assert found is None


def test_the_first_step_that_differs_is_named():
    found = differing_answer(STEPS, [[0xF], [None], [1, 2]], [[0xF], [None], [1, 3]])

    assert found == Difference(
        what="answer to observe", expected="0x1, 0x2", found="0x1, 0x3", step=2
    )


def test_of_several_answers_the_first_that_differs_counts():
    found = differing_answer(STEPS, [[1], [2], [3]], [[9], [2], [8]])

    assert found is not None
    assert found.step == 0


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([b"\x01\xab"], "01ab"),
        ([None], "nothing"),
        ([True], "True"),
        ([255], "0xff"),
        ([], ""),
    ],
)
def test_answers_are_shown_as_a_reader_of_registers_expects(answers, text):
    found = differing_answer([("peek", 0, 2)], [answers], [["something else"]])

    assert found is not None
    assert (found.expected, found.found) == (text, "something else")


def test_answers_of_fewer_steps_are_our_own_mistake():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        differing_answer(STEPS, [[1]], [[1], [2], [3]])


@pytest.mark.parametrize("offsets", [(0,), (LENGTH - 1,), (17,), (0, 17), (2048, 2049), (5, 4095)])
def test_the_first_byte_of_memory_that_differs_is_named(offsets):
    found = differing_memory({"m0": bytes(LENGTH)}, {"m0": memory_differing_at(*offsets)})

    assert found is not None
    assert found.what == f"memory of m0 at offset {offsets[0]:#x}"
    assert found.expected.startswith("00")
    assert found.found.startswith("ab")


@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
def test_it_is_the_byte_that_a_walk_would_find(ours, theirs):
    length = min(len(ours), len(theirs))
    ours, theirs = ours[:length], theirs[:length]
    first = next((row for row in range(length) if ours[row] != theirs[row]), None)
    found = differing_memory({"m0": ours}, {"m0": theirs})

    assert (found is None) == (first is None)
    if found is not None and first is not None:
        assert found.what == f"memory of m0 at offset {first:#x}"
        assert found.expected == ours[first : first + 32].hex()
        assert found.found == theirs[first : first + 32].hex()


def test_the_first_block_that_differs_is_named():
    blocks = {name: bytes(LENGTH) for name in ("m0", "m1", "m2")}
    found = differing_memory(blocks, blocks | {"m2": b"x" * LENGTH, "m1": memory_differing_at(3)})

    assert found is not None
    assert found.what == "memory of m1 at offset 0x3"


@pytest.mark.parametrize(
    ("expected", "found", "what", "shown"),
    [
        ([("a", 16)], [], "trace, entry 0", ("a, 0x10", "nothing")),
        ([], ["b"], "trace, entry 0", ("nothing", "b")),
        (["a", "b"], ["a", "c"], "trace, entry 1", ("b", "c")),
        (["a", "b"], ["b", "a"], "trace, entry 0", ("a", "b")),
        (["a"], ["a", "a"], "trace, entry 1", ("nothing", "a")),
    ],
)
def test_the_first_entry_that_differs_is_named(expected, found, what, shown):
    """Also where one of the lists ends; the order counts."""
    difference = differing_list("trace", expected, found)

    assert difference is not None
    assert difference.what == what
    assert (difference.expected, difference.found) == shown
