"""The balloon device's own section of a migration stream, field by field.

Source: QEMU 7.2 docs/devel/migration.rst; hw/virtio/virtio.c (virtio_save, vmstate_virtio and its
subsections), hw/virtio/virtio-pci.c (vmstate_virtio_pci_modern_state_sub),
hw/virtio/virtio-balloon.c (vmstate_virtio_balloon_device), hw/pci/pci.c (vmstate_pci_device).
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workbench.errors import InputError
from workbench.model.balloon.migration import HINT_SECTION, POISON_SECTION
from workbench.model.balloon.pci import QUEUE_MAX
from workbench.model.balloon.pci_config import CONFIG_SPACE_BYTES
from workbench.validation.stream_reader import FOOTER, SUBSECTION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.model.balloon.migration import DeviceState
    from workbench.validation.stream_reader import StreamReader

Fields: TypeAlias = dict[str, Any]
"""By name: numbers, bytes, and tuples of rows, one a queue."""

_U8: Final = Struct(">B")
_U16: Final = Struct(">H")
_U32: Final = Struct(">I")
_U64: Final = Struct(">Q")
_LINES: Final = Struct(">4I")
_QUEUE: Final = Struct(">IQH")
_RINGS: Final = Struct(">QQ")
_REGISTERS: Final = Struct(">Hx?6I")
_PACKED: Final = Struct(">H?H?I")
_PAIR: Final = Struct(">II")

_PCI_VERSION: Final = 2
_SECTION_NAME: Final = re.compile(rb"\x04(.{4})(.)([\x21-\x7e]*virtio-balloon)\0\0\0\0", re.DOTALL)
"""Kind, section number, length of the name, name, instance 0."""

_POISON: Final = POISON_SECTION
_CUT: Final = "the stream ends within the balloon's section"


class _Cursor:
    """A place in a stream that moves on as it is read."""

    def __init__(self, content: bytes, at: int) -> None:
        self.content = content
        self.at = at

    def integer(self, form: Struct) -> int:
        """Step over a number."""
        return int(self.row(form)[0])

    def row(self, form: Struct) -> tuple[int, ...]:
        """Step over a few."""
        if self.at + form.size > len(self.content):
            raise InputError(_CUT)
        values = form.unpack_from(self.content, self.at)
        self.at += form.size
        return values

    def rows(self, form: Struct, count: int) -> tuple[tuple[int, ...], ...]:
        """Step over a table."""
        data = self.data(form.size * count)
        if len(data) < form.size * count:
            raise InputError(_CUT)
        return tuple(form.iter_unpack(data))

    def data(self, length_bytes: int) -> bytes:
        """Step over bytes."""
        self.at += length_bytes
        return self.content[self.at - length_bytes : self.at]

    def text(self) -> str:
        """Step over a text."""
        return self.data(self.integer(_U8)).decode(errors="replace")


def _hints(cursor: _Cursor) -> Fields:
    return {"cmd_id": cursor.integer(_U32), "hint_status": cursor.integer(_U32)}


def _modern_state(cursor: _Cursor) -> Fields:
    cursor.integer(_U8)
    cursor.text()
    cursor.integer(_U32)
    return {
        "feature selects": cursor.row(_PAIR),
        "driver features": cursor.row(_PAIR),
        "queue registers": cursor.rows(_REGISTERS, QUEUE_MAX),
    }


_SUBSECTIONS: Final[dict[str, Callable[[_Cursor], Fields]]] = {
    HINT_SECTION: _hints,
    _POISON: lambda cursor: {"poison_val": cursor.integer(_U32)},
    "virtio/64bit_features": lambda cursor: {"all features": cursor.integer(_U64)},
    "virtio/virtqueues": lambda cursor: {"rings": cursor.rows(_RINGS, QUEUE_MAX)},
    "virtio/ringsize": lambda cursor: {"default sizes": cursor.rows(_U32, QUEUE_MAX)},
    "virtio/broken": lambda cursor: {"broken": cursor.integer(_U8)},
    "virtio/extra_state": _modern_state,
    "virtio/started": lambda cursor: {"started": cursor.integer(_U8)},
    "virtio/packed_virtqueues": lambda cursor: {"packed rings": cursor.rows(_PACKED, QUEUE_MAX)},
    "virtio/disabled": lambda cursor: {"disabled": cursor.integer(_U8)},
}
"""What each holds."""


def _find_section(reader: StreamReader) -> _Cursor:
    if reader.devices_at is None:
        raise InputError("the stream ends before the states of devices; was it cut off?")
    stream = bytes(reader.content)
    found = _SECTION_NAME.search(stream, reader.devices_at)
    if found is None or len(found.group(3)) != found.group(2)[0]:
        raise InputError("the stream holds no state of a virtio-balloon device")
    # Behind the instance comes the section's version.
    return _Cursor(stream, found.end() + _U32.size)


def read_fields(reader: StreamReader) -> Fields:
    """Read the balloon's section of a stream that has come completely.

    The device is a conventional PCI device without MSI-X, as it is by default.

    Raises
    ------
    InputError
        There is none, or it is laid out differently.
    """
    return _read_section(_find_section(reader))[0]


def _read_section(cursor: _Cursor) -> tuple[Fields, int | None]:
    """Read it.  Returns also where the hinting subsection's fields are, if it is there."""
    fields: Fields = {
        "PCI version": cursor.integer(_U32),
        "PCI config space": cursor.data(CONFIG_SPACE_BYTES),
        "interrupt lines": cursor.row(_LINES),
        "status": cursor.integer(_U8),
        "isr": cursor.integer(_U8),
        "queue_sel": cursor.integer(_U16),
        "features": cursor.integer(_U32),
        "config": cursor.data(cursor.integer(_U32)),
        "queues": cursor.rows(_QUEUE, cursor.integer(_U32)),
        "num_pages": cursor.integer(_U32),
        "actual": cursor.integer(_U32),
    }
    names = []
    hint_at = None
    while (kind := cursor.integer(_U8)) == SUBSECTION:
        name = cursor.text()
        cursor.integer(_U32)
        if name not in _SUBSECTIONS:
            raise InputError(f"the balloon's section holds what is not known: '{name}'")
        if name == HINT_SECTION:
            hint_at = cursor.at
        names.append(name)
        fields |= _SUBSECTIONS[name](cursor)
    if kind != FOOTER:
        raise InputError("the balloon's section is not laid out as QEMU 7.2 does without MSI-X")
    return fields | {"subsections": tuple(names)}, hint_at


def fields_of(state: DeviceState) -> Fields:
    """Give the fields of the section that the model says is sent."""
    wrap = (0, True, 0, True, 0)
    numbers = range(QUEUE_MAX)
    fields: Fields = {
        "PCI version": _PCI_VERSION,
        "PCI config space": state.pci_config,
        "interrupt lines": (int(state.irq), 0, 0, 0),
        "status": state.status,
        "isr": state.isr,
        "queue_sel": state.queue_sel,
        "features": state.features & 0xFFFFFFFF,
        "config": state.config,
        "queues": tuple((queue.num, queue.desc, queue.last_avail_idx) for queue in state.queues),
        "num_pages": state.num_pages,
        "actual": state.actual,
        "subsections": state.subsections,
    }
    subsections: dict[str, Callable[[], Fields]] = {
        HINT_SECTION: lambda: dict(zip(("cmd_id", "hint_status"), state.hint or (), strict=True)),
        _POISON: lambda: {"poison_val": state.poison_val},
        "virtio/64bit_features": lambda: {"all features": state.features},
        "virtio/virtqueues": lambda: {
            "rings": _padded([(queue.avail, queue.used) for queue in state.queues], (0, 0))
        },
        "virtio/ringsize": lambda: {
            "default sizes": _padded([(queue.num_default,) for queue in state.queues], (0,))
        },
        "virtio/broken": lambda: {"broken": int(state.broken)},
        "virtio/extra_state": lambda: {
            "feature selects": state.selects,
            "driver features": state.driver_features,
            "queue registers": tuple(_register_row(state, number) for number in numbers),
        },
        "virtio/started": lambda: {"started": int(state.started)},
        "virtio/packed_virtqueues": lambda: {
            "packed rings": _padded(
                [(queue.last_avail_idx, *(queue.packed or ())) for queue in state.queues], wrap
            )
        },
        "virtio/disabled": lambda: {"disabled": int(state.disabled)},
    }
    for name in state.subsections:
        fields |= subsections[name]()
    return fields


def _register_row(state: DeviceState, number: int) -> tuple[int, ...]:
    if number not in state.registers:
        return (0,) * 8
    queue = state.registers[number]
    halves = (half for ring in ("desc", "avail", "used") for half in queue.halves[ring])
    return (queue.num, queue.enabled, *halves)


def _padded(rows: Sequence[Any], empty: tuple[int, ...]) -> tuple[Any, ...]:
    """Add what stands there for queues that the device does not have."""
    return (*rows, *(empty for _ in range(QUEUE_MAX - len(rows))))


def with_hint_state(reader: StreamReader, cmd_id: int, status: int) -> bytes:
    """Give the stream that has come, with another command id and status of hinting.

    Raises
    ------
    InputError
        They are not in the stream, because hinting was not negotiated.
    """
    cursor = _find_section(reader)
    _, hint_at = _read_section(cursor)
    if hint_at is None:
        raise InputError("the stream has no command id: hinting was not negotiated")
    fields = _U32.pack(cmd_id) + _U32.pack(status)
    return cursor.content[:hint_at] + fields + cursor.content[hint_at + len(fields) :]
