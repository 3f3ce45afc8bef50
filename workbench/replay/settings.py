"""What a replay changes: settings of the device and of the guest, from Python, text or TOML.

Every setting that is None stays as it was captured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from workbench.errors import UsageError
from workbench.quantity import shown, whole_number
from workbench.replay.summary import in_python, settings_card
from workbench.spelling import suggestion
from workbench.toml_file import read_toml
from workbench.units import HUGE_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAX_POISON_VAL: Final = 0xFFFFFFFF
"""poison_val is 32 bits wide (virtio 1.2, 5.5.4)."""

MAX_REPORTING_ORDER: Final = 10
"""The largest block Linux keeps on its free lists on x86-64 (MAX_PAGE_ORDER)."""

_SWITCH_WORDS: Final = {"on": True, "true": True, "off": False, "false": False}


class _Choices(BaseModel):
    """Frozen choices with strict names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __repr__(self) -> str:
        """Write what is not as captured, as one would give it: names end with their unit."""
        given = [in_python(name, value) for name, value in self._given.items()]
        return f"{type(self).__name__}({', '.join(given)})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Show it as people read it."""
        return settings_card(type(self).__name__, self._given).html()

    def __dir__(self) -> list[str]:
        """Name the settings, and what they can be asked for."""
        own = [name for name in vars(type(self)) if not name.startswith(("_", "model_"))]
        return [*type(self).model_fields, *own, "model_copy", "model_dump"]

    @property
    def _given(self) -> dict[str, bool | int | str]:
        return {name: value for name, value in self.model_dump().items() if value is not None}

    @model_validator(mode="before")
    @classmethod
    def _know_the_names(cls, given: object) -> object:
        for name, value in given.items() if isinstance(given, dict) else ():
            if name not in cls.model_fields:
                elsewhere = _elsewhere(str(name), value)
                what = f"{cls.__name__} setting"
                raise UsageError(_unknown(what, str(name), cls.model_fields, elsewhere))
        return given


class Device(_Choices):
    """Properties and state of the virtio-balloon device, named as QEMU names them."""

    free_page_reporting: bool | None = None
    """Whether the device offers REPORTING."""
    page_poison: bool | None = None
    """Whether the device offers PAGE_POISON."""
    free_page_hint: bool | None = None
    """Whether the device offers FREE_PAGE_HINT."""
    discard_inhibited: bool | None = None
    """Whether something (an assigned device, an incoming postcopy) forbids discards throughout."""

    @field_validator("*", mode="before")
    @classmethod
    def _read_switch(cls, value: object, info: ValidationInfo) -> bool | None:
        return _switch(f"device.{info.field_name}", value)


class Guest(_Choices):
    """What the guest's Linux does, named as Linux names it.

    Times and sizes are numbers in the unit of their name, or text with one of its own.

    Examples
    --------
    >>> Guest(reporting_delay_ns="250ms")
    Guest(reporting_delay_ns=250_000_000)
    """

    poison_val: int | None = None
    """What the driver writes to the device's poison_val."""
    reporting_order: int | None = None
    """The smallest block that is reported: 2**order pages."""
    reporting_delay_ns: int | None = None
    """From a free to the pass that reports it."""
    reporting_capacity: int | None = None
    """Ranges in one report."""
    init_on_free: bool | None = None
    """Whether it clears every page it frees, and at boot all of its memory."""

    @field_validator("init_on_free", mode="before")
    @classmethod
    def _read_switch(cls, value: object) -> bool | None:
        return _switch("guest.init_on_free", value)

    @field_validator(
        "poison_val", "reporting_order", "reporting_delay_ns", "reporting_capacity", mode="before"
    )
    @classmethod
    def _read_number(cls, value: object, info: ValidationInfo) -> int | None:
        name = str(info.field_name)
        limits = _GUEST_LIMITS[name]
        return _number_within(f"guest.{name}", value, limits, in_hexadecimal=name == "poison_val")


_GUEST_LIMITS: Final[dict[str, tuple[int, int]]] = {
    "poison_val": (0, MAX_POISON_VAL),
    "reporting_order": (0, MAX_REPORTING_ORDER),
    "reporting_delay_ns": (0, 2**63 - 1),
    "reporting_capacity": (1, 2**31 - 1),
}


class Host(_Choices):
    """The host's memory and swap.  With any of these, the model of the host decides what swaps.

    Examples
    --------
    >>> Host(memory_bytes="64M", swap="zram")
    Host(memory_bytes=67_108_864, swap='zram')
    """

    memory_bytes: int | None = None
    """Memory there is for the RAM of all guests together."""
    limit: str | None = None
    """What limits it: a cgroup, or the host itself, which keeps some memory free."""
    reclaim: str | None = None
    """How the host chooses what goes to swap: Linux's two lists, or what is least recent."""
    swap: str | None = None
    """What it swaps to: zram, which answers at once, or a device of one of two kinds."""
    swap_bytes: int | None = None
    """Room in swap."""
    page_cluster: int | None = None
    """log2 of the most pages that are read ahead (Linux vm.page-cluster); zram reads none ahead."""
    content: str | None = None
    """What the guests write: zeros, or something else."""

    @property
    def is_chosen(self) -> bool:
        """Whether anything is asked of the host."""
        return any(value is not None for value in self.model_dump().values())

    @field_validator("memory_bytes", "swap_bytes", "page_cluster", mode="before")
    @classmethod
    def _read_number(cls, value: object, info: ValidationInfo) -> int | None:
        name = str(info.field_name)
        return _number_within(f"host.{name}", value, _HOST_LIMITS[name])

    @field_validator("limit", "reclaim", "swap", "content", mode="before")
    @classmethod
    def _read_word(cls, value: object, info: ValidationInfo) -> str | None:
        words = _HOST_WORDS[str(info.field_name)]
        if value is not None and value not in words:
            raise UsageError(
                f"host.{info.field_name} is {shown(value)}, expected {' or '.join(words)}"
            )
        return None if value is None else str(value)


_HOST_LIMITS: Final[dict[str, tuple[int, int]]] = {
    "memory_bytes": (HUGE_PAGE_BYTES, 2**60),
    "swap_bytes": (0, 2**60),
    "page_cluster": (0, 10),
}
"""Linux takes any page_cluster and uses 31 at most; more than 2**10 pages is a huge page and more,
which no window spans."""

SWAP_DEVICES: Final = ("zram", "ssd", "disk")

_HOST_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "limit": ("cgroup", "host"),
    "reclaim": ("two-list", "least-recent"),
    "swap": SWAP_DEVICES,
    "content": ("zero", "other"),
}


class Cost(_Choices):
    """What swap costs in time; it changes nothing else.  Each is by default that of the device."""

    swap_read_latency_ns: int | None = None
    """From a fault to its page, read from swap."""
    swap_read_bytes_per_second: int | None = None
    """How fast more pages follow that are read ahead."""
    swap_write_bytes_per_second: int | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _read_number(cls, value: object, info: ValidationInfo) -> int | None:
        least = 0 if str(info.field_name).endswith("_ns") else 1
        return _number_within(f"cost.{info.field_name}", value, (least, 2**60))


class Settings(_Choices):
    """Everything a replay may change.  What is not given stays as it was captured.

    Examples
    --------
    >>> Settings(guest=Guest(poison_val=0xAAAAAAAA)).label
    'poison_val 0xaaaaaaaa'
    """

    device: Device = Device()
    guest: Guest = Guest()
    host: Host = Host()
    cost: Cost = Cost()

    @property
    def runs_as_captured(self) -> bool:
        """Whether all but costs is as captured."""
        return Settings(cost=self.cost) == self

    @property
    def changed(self) -> dict[str, bool | int | str]:
        """The settings that are not left as captured, by their dotted names."""
        return {
            f"{table}.{name}": value
            for table, choices in self._tables
            for name, value in choices.model_dump().items()
            if value is not None
        }

    def __repr__(self) -> str:
        """Write what is not as captured, as one would give it."""
        tables = [f"{name}={table!r}" for name, table in self._tables if table._given]  # noqa: SLF001
        return f"Settings({', '.join(tables)})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Show it as people read it."""
        return settings_card("Settings", self.changed).html()

    @property
    def _tables(self) -> tuple[tuple[str, _Choices], ...]:
        return tuple((table, getattr(self, table)) for table in type(self).model_fields)

    @property
    def label(self) -> str:
        """Name the settings the way people say them: ``as captured``, or what was changed."""
        words = [
            f"{name.partition('.')[2]} {_say(name, value)}" for name, value in self.changed.items()
        ]
        return ", ".join(words) or "as captured"


def read_settings(assignments: Iterable[str] = (), config: Path | None = None) -> Settings:
    """Read settings from a TOML file, and then from assignments, which win.

    Parameters
    ----------
    assignments
        Such as ``device.page_poison=off`` or ``guest.poison_val=0xaaaaaaaa``.
    config
        A TOML file with the tables ``[device]``, ``[guest]``, ``[host]`` and ``[cost]``.

    Raises
    ------
    UsageError
        A name is unknown, or a value is not possible.
    InputError
        The file is not there, or not TOML.
    """
    tables: dict[str, dict[str, Any]] = {} if config is None else _read_tables(config)
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        table, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise UsageError(
                f"{assignment!r} is not a setting, expected something like device.page_poison=off"
            )
        tables.setdefault(table, {})[key] = None if value.strip() == "" else value.strip()
        if tables[table][key] is None:
            raise UsageError(f"{assignment!r} has no value, leave it out to keep it as captured")
    for table in tables:
        if table not in Settings.model_fields:
            raise UsageError(_unknown("table of settings", table, Settings.model_fields))
    return Settings(
        device=Device(**tables.get("device", {})),
        guest=Guest(**tables.get("guest", {})),
        host=Host(**tables.get("host", {})),
        cost=Cost(**tables.get("cost", {})),
    )


def _read_tables(path: Path) -> dict[str, dict[str, Any]]:
    document, _ = read_toml(path)
    for name, table in document.items():
        if not isinstance(table, dict):
            raise UsageError(
                f"{path}: {name!r} stands outside a table, expected [device], [guest], [host] or "
                "[cost]"
            )
    return document


def _switch(name: str, value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    switch = _SWITCH_WORDS.get(value.strip().lower()) if isinstance(value, str) else None
    if switch is None:
        raise UsageError(f"{name} is {shown(value)}, expected on or off")
    return switch


def _number_within(
    name: str, value: object, limits: tuple[int, int], *, in_hexadecimal: bool = False
) -> int | None:
    """Read a setting that is a whole number, in the unit that its name ends with."""
    if value is None:
        return None
    sizes = name.endswith(("_bytes", "_bytes_per_second"))
    number = whole_number(value, times=name.endswith("_ns"), sizes=sizes)
    first, last = limits
    if number is None or not first <= number <= last:
        span = f"0x{first:x} to 0x{last:x}" if in_hexadecimal else f"{first} to {last}"
        raise UsageError(f"{name} is {shown(value)}, expected a whole number from {span}")
    return number


def _unknown(what: str, name: str, known: Mapping[str, object], elsewhere: str = "") -> str:
    meant = elsewhere or suggestion(name, known, otherwise=f"there are {', '.join(known)}")
    return f"there is no {what} {name!r}{meant}"


def _elsewhere(name: str, value: object) -> str:
    """Say which table has a setting of this name; of a switch, its last word is enough."""
    found = [
        f"{table.__name__}({known}=...)"
        for table in (Device, Guest, Host, Cost)
        for known in table.model_fields
        if known == name or (isinstance(value, bool) and known.endswith(f"_{name}"))
    ]
    return f"; it is {' or '.join(found)}" if found else ""


def _say(name: str, value: int | str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return f"0x{value:x}" if name == "guest.poison_val" else str(value)
