"""Settings: from Python, assignments and TOML, with names and values that are checked."""

from __future__ import annotations

import re

import pydantic
import pytest

from workbench.errors import InputError, UsageError
from workbench.replay import Device, Guest, Settings, read_settings

ASSIGNMENTS = [
    "device.page_poison=off",
    "device.discard_inhibited=true",
    "guest.poison_val=0xaaaaaaaa",
    "guest.reporting_order=5",
    "guest.reporting_delay_ns=100ms",
    "guest.init_on_free=on",
]
TOML = """
[device]
page_poison = false
discard_inhibited = "on"

[guest]
poison_val = 0xaaaaaaaa
reporting_order = 5
reporting_delay_ns = 100_000_000
init_on_free = true
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(TOML)
    return path


def test_assignments_toml_and_python_give_the_same(config):
    expected = Settings(
        device=Device(page_poison=False, discard_inhibited=True),
        guest=Guest(
            poison_val=0xAAAAAAAA,
            reporting_order=5,
            reporting_delay_ns=100_000_000,
            init_on_free=True,
        ),
    )

    assert read_settings(ASSIGNMENTS) == expected
    assert read_settings(config=config) == expected


def test_assignments_win_over_the_file(config):
    assert read_settings(["guest.reporting_order=0"], config).guest.reporting_order == 0
    assert read_settings(["guest.reporting_order=0"], config).guest.poison_val == 0xAAAAAAAA


def test_nothing_given_is_as_captured():
    assert read_settings() == Settings()
    assert Settings().changed == {}
    assert Settings().label == "as captured"


def test_none_is_as_captured():
    settings = Settings(device=Device(page_poison=None), guest=Guest(poison_val=None))

    assert settings == Settings()


def test_the_label_says_what_is_changed():
    assert read_settings(ASSIGNMENTS).label == (
        "page_poison off, discard_inhibited on, poison_val 0xaaaaaaaa, reporting_order 5, "
        "reporting_delay_ns 100000000, init_on_free on"
    )


@pytest.mark.parametrize(
    ("text", "value"), [("on", True), ("TRUE", True), (" off ", False), ("false", False)]
)
def test_switches_are_words(text, value):
    assert Device(page_poison=text).page_poison is value
    assert Guest(init_on_free=text).init_on_free is value


@pytest.mark.parametrize(
    ("text", "value"), [("0xAA", 170), ("170", 170), ("0b1", 1), ("1_000", 1000), (" 7 ", 7)]
)
def test_numbers_are_written_as_in_python(text, value):
    assert Guest(poison_val=text).poison_val == value


@pytest.mark.parametrize(("text", "value"), [("2s", 2 * 10**9), ("50 us", 50_000), ("9ns", 9)])
def test_times_may_have_a_unit(text, value):
    assert Guest(reporting_delay_ns=text).reporting_delay_ns == value


@pytest.mark.parametrize("value", [2**32, -1, True, 1.0, "many", "2s", "", []])
def test_a_poison_value_is_32_bits(value):
    with pytest.raises(UsageError, match=r"guest\.poison_val is .* from 0x0 to 0xffffffff"):
        Guest(poison_val=value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reporting_order", 11),
        ("reporting_order", -1),
        ("reporting_delay_ns", -1),
        ("reporting_capacity", 0),
    ],
)
def test_a_number_out_of_range_names_the_range(name, value):
    with pytest.raises(UsageError, match=rf"guest\.{name} is {value}, expected"):
        Guest(**{name: value})


@pytest.mark.parametrize("value", ["maybe", 1, 0, "", []])
def test_a_switch_is_on_or_off(value):
    with pytest.raises(UsageError, match=r"device\.page_poison is .*, expected on or off"):
        Device(page_poison=value)
    with pytest.raises(UsageError, match=r"guest\.init_on_free is .*, expected on or off"):
        Guest(init_on_free=value)


def test_an_unknown_name_is_answered_with_the_closest():
    with pytest.raises(
        UsageError, match="'free_page_reportng'; did you mean 'free_page_reporting'"
    ):
        Device(free_page_reportng=True)
    with pytest.raises(UsageError, match="'poison_value'; did you mean 'poison_val'"):
        read_settings(["guest.poison_value=1"])
    with pytest.raises(UsageError, match="'devise'; did you mean 'device'"):
        read_settings(["devise.page_poison=on"])
    with pytest.raises(UsageError, match="'gast'; did you mean 'guest'"):
        Settings(gast=Guest())


@pytest.mark.parametrize(
    ("table", "name", "value", "right"),
    [
        (Guest, "free_page_reporting", False, "Device(free_page_reporting=...)"),
        (Guest, "reporting", False, "Device(free_page_reporting=...)"),
        (Guest, "memory_bytes", "1G", "Host(memory_bytes=...)"),
        (Device, "poison_val", 1, "Guest(poison_val=...)"),
        (Settings, "free_page_reporting", False, "Device(free_page_reporting=...)"),
    ],
)
def test_a_setting_of_another_table_is_answered_with_that_table(table, name, value, right):
    with pytest.raises(UsageError, match=f"{name}'; it is {re.escape(right)}$"):
        table(**{name: value})


def test_only_a_switch_is_known_by_its_last_word():
    with pytest.raises(UsageError, match="'poison'; did you mean 'poison_val'"):
        Guest(poison=1)


@pytest.mark.parametrize(
    "assignment", ["page_poison=on", "device.page_poison", "device", "", "device.page_poison="]
)
def test_what_is_no_assignment_is_refused(assignment):
    with pytest.raises(UsageError, match=r"expected something like|has no value"):
        read_settings([assignment])


def test_choices_are_frozen():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Device().page_poison = True


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        read_settings(config=tmp_path / "none.toml")


@pytest.mark.parametrize("content", [b"[device", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_an_input_error(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"bad\.toml: not TOML"):
        read_settings(config=path)


def test_a_setting_outside_a_table_is_refused(tmp_path):
    path = tmp_path / "flat.toml"
    path.write_text("page_poison = true\n")

    with pytest.raises(UsageError, match=r"'page_poison' stands outside a table"):
        read_settings(config=path)


NINES = "9" * 5000


@pytest.mark.parametrize(
    "value",
    [f"{NINES}s", NINES, f"0x{NINES}", int(f"0x{NINES}", 16)],
    ids=["time", "decimal", "hexadecimal", "number"],
)
def test_a_number_of_thousands_of_digits_is_out_of_range(value):
    with pytest.raises(UsageError, match=r"guest\.reporting_delay_ns is .*, expected") as caught:
        Guest(reporting_delay_ns=value)

    assert len(str(caught.value)) < 250


def test_a_switch_that_is_a_huge_number_is_no_switch():
    with pytest.raises(UsageError, match=r"is int too long to show, expected on or off"):
        Device(page_poison=int(f"0x{NINES}", 16))


@pytest.mark.parametrize(
    "value",
    [NINES, "[" * 100_000 + "]" * 100_000, "{a=" * 100_000 + "1" + "}" * 100_000],
    ids=["digits", "lists", "tables"],
)
def test_toml_that_python_cannot_hold_is_an_input_error(tmp_path, value):
    path = tmp_path / "deep.toml"
    path.write_text(f"[guest]\npoison_val = {value}\n")

    with pytest.raises(InputError, match=r"deep\.toml: not TOML"):
        read_settings(config=path)


@pytest.mark.parametrize(
    "value",
    [f"0x{NINES}", f"[0x{NINES}]", "[" * 50 + "]" * 50],
    ids=["digits", "digits in a list", "lists"],
)
def test_toml_values_that_are_too_much_are_a_usage_error(tmp_path, value):
    path = tmp_path / "huge.toml"
    path.write_text(f"[guest]\npoison_val = {value}\n")

    with pytest.raises(UsageError, match=r"guest\.poison_val is .* from 0x0 to 0xffffffff"):
        read_settings(config=path)


def test_deeply_dotted_names_are_a_usage_error(tmp_path):
    path = tmp_path / "dotted.toml"
    path.write_text("[guest]\npoison_val" + ".a" * 5_000 + " = 1\n")

    with pytest.raises(UsageError, match=r"guest\.poison_val is dict too long to show"):
        read_settings(config=path)
