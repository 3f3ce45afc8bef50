"""A QEMU is asked which machines and properties it knows."""

import json
from pathlib import Path

import pytest

from workbench.errors import HostError
from workbench.model.balloon.offer import Properties
from workbench.validation.abilities import Abilities, NotBuildableError, abilities_of
from workbench.validation.real_machine import QEMU
from workbench.validation.setup import Setup, device_properties

GREETING = {"QMP": {"version": {}}}
MACHINES = [{"name": "pc-i440fx-11.1", "alias": "pc"}, {"name": "pc-i440fx-7.2"}]
PROPERTIES = [{"name": name} for name in (*device_properties(Properties()), "ioeventfd")]
ANSWERS = (
    GREETING,
    {"return": {}},
    {"return": MACHINES, "id": "machines"},
    {"event": "SHUTDOWN"},
    {"return": PROPERTIES, "id": "properties"},
)


@pytest.fixture
def qemu(tmp_path):
    """Make a QEMU that says the same to everybody, and keeps a note of each time it is asked."""

    def make(lines):
        path = tmp_path / "qemu"
        path.write_text(f"#!/bin/sh\necho asked >>{path}.log\ncat <<'END'\n{lines}\nEND\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_a_qemu_is_asked_once(qemu):
    path = qemu("\n".join(json.dumps(answer) for answer in ANSWERS))
    abilities = abilities_of(path)

    assert {"pc", "pc-i440fx-7.2"} < abilities.machine_types
    assert "ioeventfd" in abilities.properties
    assert abilities_of(path) is abilities
    assert Path(f"{path}.log").read_text("utf-8") == "asked\n"


@pytest.mark.parametrize("lines", ["", "no such option", json.dumps(GREETING)])
def test_a_qemu_that_does_not_answer_is_told(qemu, lines):
    with pytest.raises(HostError, match="qemu cannot be asked what it can do"):
        abilities_of(qemu(lines))


def test_what_a_qemu_does_not_know_is_named():
    machine_types = frozenset({"pc-i440fx-7.2"})
    known = Abilities(
        machine_types=machine_types, properties=frozenset(device_properties(Properties()))
    )
    old = Setup(machine_type="pc-i440fx-2.12", properties=Properties(qemu_4_0_config_size=True))

    known.check(Setup())
    with pytest.raises(NotBuildableError) as refusal:
        known.check(old)
    assert refusal.value.missing == {
        "qemu-4-0-config-size": "this QEMU's balloon has no such property",
        "pc-i440fx-2.12": "this QEMU has no such machine type",
    }


@pytest.mark.qemu
def test_the_real_one_knows_what_a_plain_machine_takes():
    abilities_of(QEMU).check(Setup())
