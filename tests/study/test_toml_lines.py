"""Lines of keys in TOML: as written, whatever way that was; and tomllib agrees what was written."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given

from tests.study.toml_documents import documents
from workbench.study.toml_lines import TomlLines


def places(value, place=()):
    """List every key and every element of what tomllib reads."""
    inner = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return {place}.union(*(places(each, (*place, key)) for key, each in inner))


@given(document=documents())
def test_everything_is_on_the_line_where_it_was_written(document):
    text, content, lines = document

    assert tomllib.loads(text) == content
    assert TomlLines(text).lines == lines | {(): 1}
    assert set(lines) | {()} == places(content)


TEXT = '''\
name = """
[[guest]]
name = "not this"
"""

[[guest]]            # the first
"na.me" = "a"
'shift' = 1
size.small = [
    1,
    # two
    [2,
     3],
]
[[guest.file]]
a = {b = 1, c.d = [{e = 2}, {e = 3}]}
[[guest.file]]
b = \'\'\'\'\'two quotes\'\'\'\'\'
c = 1
[guest.table]
x = 1979-05-27 07:32:00
[[guest]]
name = "second"
[[guest.file]]
a = 1
[ host . "b" ]
c = 3
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("name",), 1),
        (("guest",), 6),
        (("guest", 0), 6),
        (("guest", 0, "na.me"), 7),
        (("guest", 0, "shift"), 8),
        (("guest", 0, "size"), 9),
        (("guest", 0, "size", "small", 0), 10),
        (("guest", 0, "size", "small", 1), 12),
        (("guest", 0, "size", "small", 1, 1), 13),
        (("guest", 0, "file", 0), 15),
        (("guest", 0, "file", 0, "a", "c", "d", 1, "e"), 16),
        (("guest", 0, "file", 1, "c"), 19),
        (("guest", 0, "table", "x"), 21),
        (("guest", 1), 22),
        (("guest", 1, "name"), 23),
        (("guest", 1, "file", 0, "a"), 25),
        (("host", "b", "c"), 27),
    ],
)
def test_by_example(place, line):
    assert TomlLines(TEXT).line(place) == line


@pytest.mark.parametrize(
    ("place", "line"),
    [(("guest", 1, "weight"), 22), (("guest", 0, "size", "large", 3), 9), (("limit", "x"), 1)],
)
def test_what_is_not_there_is_where_its_table_is(place, line):
    assert TomlLines(TEXT).line(place) == line


def test_a_document_that_goes_deep_is_no_work():
    deep = "a." * 5_000 + "b = 3\nc = 4\n"
    lines = TomlLines(deep)

    assert lines.line(("c",)) == 2
    assert lines.line(("a",) * 5_000) == 1
    nested = f"a = {'[' * 200}1,\n2{']' * 200}\nb = 3\n"
    assert tomllib.loads(nested)["b"] == 3
    assert TomlLines(nested).line(("b",)) == 3
