"""Random TOML documents, written in every way there is, with the lines of what is in them."""

from __future__ import annotations

import json

from hypothesis import strategies as st

NAMES = st.one_of(
    st.from_regex(r"[a-z0-9_-]{1,3}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)


def basic_string(text):
    """Write text in double quotes: JSON escapes the same, but for one control character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class Writer:
    """Writes a document part by part, and keeps where everything went."""

    def __init__(self, draw):
        self.draw = draw
        self.text = ""
        self.lines = {}

    def choose(self, *choices):
        """Choose one of some ways to write something."""
        return self.draw(st.sampled_from(choices))

    def put(self, text):
        self.text += text

    def note(self, place):
        """Keep that what is written next is at `place`."""
        self.lines.setdefault(place, self.text.count("\n") + 1)

    def blank(self):
        """Write what stands between lines."""
        self.put(self.choose("", "", "\n", "  ", "# a = 3 [ ] {\n", "\r\n", "\t# '''\n"))

    def key(self, name):
        bare = name and all(each in "abcdefghijklmnopqrstuvwxyz0123456789_-" for each in name)
        ways = [basic_string(name)]
        if bare:
            ways = [name, name, *ways]
        if "'" not in name and name.isprintable():
            ways.append(f"'{name}'")
        self.put(self.choose(*ways))

    def names(self, place, names):
        """Write a dotted key, whose parts all begin on this line."""
        for index, name in enumerate(names):
            if index:
                self.put(self.choose(".", " . ", ".\t"))
            self.note((*place, *names[: index + 1]))
            self.key(name)

    def value(self, place, value):
        """Write a value, over several lines where that may be."""
        if isinstance(value, dict):
            self.put("{" + self.choose("", " "))
            for index, (name, inner) in enumerate(value.items()):
                self.put(", " if index else "")
                self.pair(place, name, inner)
            self.put("}")
        elif isinstance(value, list):
            self.put("[")
            for index, inner in enumerate(value):
                self.blank()
                self.note((*place, index))
                self.value((*place, index), inner)
                self.blank()
                self.put("," if index < len(value) - 1 else self.choose("", ","))
                self.blank()
            self.put("]")
        elif isinstance(value, str):
            self.string(value)
        else:
            self.put({True: "true", False: "false"}.get(value, str(value)))

    def string(self, value):
        """Write a string in one of the four ways, with quotes before the last ones too."""
        basic = basic_string(value)[1:-1]
        ways = [f'"{basic}"', f'"""\n{basic}"""']
        body = value.rstrip('"')
        if value and not value.startswith(" "):
            ways.append(f'"""\\\n  {basic}"""')
        if len(value) - len(body) in {1, 2}:
            ways = [f'"""{basic_string(body)[1:-1]}{value[len(body) :]}"""']
        if all(each == "\n" or each.isprintable() for each in value) and "'" not in value:
            ways.append(f"'''\n{value}'''")
            if "\n" not in value:
                ways.append(f"'{value}'")
        if value in {"'", "''", "#''"}:
            ways.append(f"'''{value}'''" if value == "#''" else f"'''\n{value}'''")
        self.put(self.choose(*ways))

    def pair(self, place, name, value):
        """Write a key with its value; of a table with one key perhaps as one dotted key."""
        names = [name]
        while isinstance(value, dict) and len(value) == 1 and self.draw(st.booleans()):
            ((inner, value),) = value.items()
            names.append(inner)
        self.names(place, names)
        self.put(self.choose("=", " = "))
        self.value((*place, *names), value)

    def table(self, place, names, content):
        """Write what is in a table: first its own keys, then the tables within."""
        later = []
        for name, value in content.items():
            if _may_be_a_table(value) and self.draw(st.booleans()):
                later.append((name, value))
                continue
            self.blank()
            self.put("\n" if self.text and not self.text.endswith("\n") else "")
            self.put(self.choose("", "  "))
            self.pair(place, name, value)
            self.put(self.choose("\n", " # 'end\n", "\r\n"))
        for name, value in later:
            for index, inner in enumerate(value) if isinstance(value, list) else [(None, value)]:
                self.header(place, [*names, name], index, inner)

    def header(self, place, names, index, content):
        opening, closing = ("[", "]") if index is None else ("[[", "]]")
        self.put("\n" if self.text and not self.text.endswith("\n") else "")
        self.blank()
        self.put("\n" if self.text and not self.text.endswith("\n") else "")
        self.put(opening + self.choose("", " "))
        inner = (*place, names[-1])
        self.note(inner)
        if index is not None:
            inner = (*inner, index)
            self.note(inner)
        for number, name in enumerate(names):
            self.put("." if number else "")
            self.key(name)
        self.put(self.choose("", " ") + closing + self.choose("\n", " # ]]\n"))
        self.table(inner, names, content)


def _may_be_a_table(value):
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict)


PLAIN = st.one_of(
    st.integers(-(10**6), 10**6),
    st.booleans(),
    st.floats(-1e6, 1e6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(
        ["#", "[", "]]", "'", '"', "a=b", "\\", "\n\n", "{,}", 'a"', 'a""', "''", "#''"]
    ),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
CONTENTS = st.dictionaries(NAMES, VALUES, max_size=4)


@st.composite
def documents(draw):
    """A document, what it says, and the line of everything in it."""
    content = draw(CONTENTS)
    writer = Writer(draw)
    writer.table((), [], content)
    return writer.text, content, writer.lines
