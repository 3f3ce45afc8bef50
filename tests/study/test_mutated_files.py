"""Whatever becomes of a study file, it is read or refused in a sentence that names it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.study.study_files import study_of, write_series
from tests.study.test_file import ALL_KEYS
from workbench.errors import InputError
from workbench.study import Study

LINES = ALL_KEYS.splitlines(keepends=True)

VALUES = st.sampled_from(
    [
        *("0", "-1", "3", "1e400", "nan", "true", "''", "'6h'", "'64G'", "'\\u202e'", "[]", "{}"),
        *("[[]]", "[1, 'a']", "{a = 1}", "1979-05-27", "'recorded'", "['web-1.csv']", "9" * 400),
        *("'monitoring'", "'monitoring/*'", "'**'", "'../*'", "'/'", '"\\u0000"', "[{}, {}]"),
    ]
)


@st.composite
def mutated(draw):
    """The file of all keys, with a few lines changed, moved, doubled or left out."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["value", "value", "value", "drop", "double", "move", "letter"]))
        line = lines[index]
        if how == "value" and " = " in line:
            lines[index] = f"{line.partition(' = ')[0]} = {draw(VALUES)}\n"
        elif how == "drop" and len(lines) > 1:
            del lines[index]
        elif how == "double":
            lines.insert(index, line)
        elif how == "move":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(index))
        elif how == "letter":
            at = draw(st.integers(0, len(line)))
            lines[index] = line[:at] + draw(st.characters(exclude_categories=["Cs"])) + line[at:]
    return "".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    (folder / "monitoring").mkdir()
    for name in ("web-2", "web-1", "batch"):
        write_series(folder / "monitoring", name)
    return folder


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(text=mutated())
def test_a_study_or_one_sentence(folder, text):
    try:
        made = study_of(folder, text)
    except InputError as refusal:
        sentence = str(refusal)
        assert sentence.startswith(f"{folder}/spring.toml")
        assert "\n" not in sentence
        assert sentence.isprintable()
    else:
        assert isinstance(made, Study)
        assert repr(made).count("\n") < 12
