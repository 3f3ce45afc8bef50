"""What a file is, by its content."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from workbench.errors import InputError
from workbench.spelling import on_one_line, shorten
from workbench.trace.guest_series import read_guest_series
from workbench.trace.monitoring import guest_stats, prometheus, sadf, sar_text
from workbench.trace.monitoring.csv_samples import layout_of, read_csv_samples
from workbench.trace.monitoring.dommemstat import is_dommemstat, read_dommemstat
from workbench.trace.monitoring.json_text import JsonText

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.trace.guest_series import GuestSeries
    from workbench.trace.monitoring.tracks import Sampled

_KNOWN: Final = (
    "an answer of Prometheus to a range query (JSON, or CSV with its metrics), `sadf -d`, "
    "`sadf -j` or `sar -r`, a log of `virsh dommemstat` or of QEMU's guest-stats, or a CSV with "
    "the columns time, small, huge and total"
)

_HEAD_BYTES: Final = 1 << 16
"""What is looked at, and the rest of the line it ends in."""

_SPACE: Final = b"\xef\xbb\xbf \t\r\n"
"""What may stand in front: a byte order mark, too."""

_LINE_BYTES: Final = 1 << 26
"""The longest header there can be: of a few hundred thousand series."""

_SHOWN_CHARACTERS: Final = 80
"""Of what a file begins with, in a message."""

_SADF_JSON: Final = "sysstat"


def sampled_guests(path: Path) -> list[Sampled] | GuestSeries:
    """Read what a file says of each guest; a series where it is one already.

    Raises
    ------
    InputError
        It cannot be read, or is nothing that is known.
    """
    if path.is_dir() or path.suffix == ".parquet":
        return read_guest_series(path)
    head = _head(path)
    lines = [line for line in head.split("\n") if line.strip()]
    if not lines:
        raise InputError(f"{path}: is empty, expected {_KNOWN}; export the samples again")
    if lines[0].lstrip()[:1] in {"{", "["}:
        return _of_json(path, _text(path))
    if lines[0].startswith(sadf.HEADER):
        return sadf.read_sadf_table(path, _text(path))
    if sar_text.FIRST_LINE.match(lines[0]):
        return sar_text.read_sar(path, _text(path))
    if is_dommemstat(lines):
        return read_dommemstat(path, _text(path))
    layout = layout_of(path, head)
    if layout is not None:
        return read_csv_samples(path, layout)
    if "," in lines[0]:
        return read_guest_series(path)
    raise InputError(
        f"{path}: begins with {_shown(lines[0])}, expected {_KNOWN}; export the samples so"
    )


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            # JSON may be one line of hundreds of megabytes.
            if head.lstrip(_SPACE)[:1] not in {b"{", b"["}:
                head += file.readline(_LINE_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return _decoded(path, head, is_whole=False)


def _text(path: Path) -> str:
    return _decoded(path, path.read_bytes())


def _decoded(path: Path, content: bytes, *, is_whole: bool = True) -> str:
    """Decode a file, or its beginning, whose last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(content, is_whole)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{path}: is not text, expected {_KNOWN}; export it as text")
    return text


def _of_json(path: Path, text: str) -> list[Sampled]:
    key = _first_key(JsonText(path, text))
    if key in prometheus.KEYS:
        return prometheus.read_prometheus(path, JsonText(path, text))
    if key == _SADF_JSON:
        return sadf.read_sadf_json(path, JsonText(path, text))
    if key in guest_stats.KEYS:
        return guest_stats.read_guest_stats(path, JsonText(path, text))
    # Without a key it may be a list of something else, or no JSON: TOML begins like one.
    found = f"is JSON that begins with {_shown(key)}" if key else f"begins with {_shown(text)}"
    raise InputError(f"{path}: {found}, expected {_KNOWN}; export the samples so")


def _shown(text: str) -> str:
    """Write down the first line of a text that is not blank, as far as that fits on a line."""
    line = text.lstrip()[: 2 * _SHOWN_CHARACTERS].partition("\n")[0].rstrip()
    return repr(shorten(on_one_line(line), _SHOWN_CHARACTERS))


def _first_key(text: JsonText) -> str:
    """Give the first key of the first object, in a list or not."""
    if text.next_character() == "[":
        for _ in text.items():
            break
    if text.next_character() == "{":
        for key in text.entries():
            return key
    return ""
