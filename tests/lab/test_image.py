import re
import subprocess
from importlib import resources

import pytest

from workbench.lab import LabSettings, load_scenario, parse_scenario
from workbench.lab.image import fill_content, init_script, step_command
from workbench.lab.scenario import FORMS
from workbench.units import MIB, PAGE_BYTES

GUEST = resources.files("workbench.lab").joinpath("guest.sh").read_text("utf-8")


def script_of(text, **settings):
    return init_script(LabSettings(scenario=parse_scenario(text, name="test"), **settings))


def command_of(text, vm=0):
    return step_command(1, parse_scenario(text, name="test").steps[-1], vm)


def assignments(script):
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", script, re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("take a 2M text", 'step 1 "take a 2M text" take a 2097152 text'),
        ("take a 4K\ntouch a", 'step 1 "touch a" touch_again a'),
        ("take a 4K\nrewrite a zero", 'step 1 "rewrite a zero" rewrite a zero'),
        ("take a 4K\nfree a", 'step 1 "free a" release a'),
        ("scatter a 3 8K", 'step 1 "scatter a 3 8K random" scatter a 3 8192 random'),
        ("drop-caches", 'step 1 "drop-caches" drop_caches'),
        ("idle 250ms", 'step 1 "idle 250ms" pause 0.25'),
        ("mark here", 'step 1 "mark here" : here'),
    ],
)
def test_a_step_becomes_one_command(text, command):
    assert command_of(text) == command


def test_staggered_guests_wait_by_their_number():
    commands = [command_of("stagger 1500ms", vm) for vm in range(3)]
    assert commands == [f'step 1 "stagger 1500ms" pause {time}' for time in ("0", "1.5", "3")]


def test_every_command_is_a_function_of_the_guest():
    names = set(re.findall(r"^(\w+)\(\) \{", GUEST, re.MULTILINE))
    text = (
        "take a 4K\ntouch a\nrewrite a\nfree a\nscatter b 2 4K\nthin b\nidle 1\nstagger 1\nmark c\n"
    )
    script = script_of(f"{text}save d 4K\nload d\ndelete d\ndrop-caches")
    called = set(re.findall(r'^step \d+ "[^"]*" (\w+)', script, re.MULTILINE))

    # `stagger` waits like `idle`, and a mark does nothing.
    assert len(called | {":", "stagger"}) == len(FORMS)
    assert called <= names


def test_settings_reach_the_guest():
    script = script_of("idle 1", reporting_order=0, poison=0xAAAAAAAA, attach_after="1")

    assert assignments(script)["REPORTING_ORDER"] == "0"
    assert assignments(script)["POISON_VAL"] == "0xaaaaaaaa"
    assert assignments(script)["WAIT_AFTER"] == "1"


def test_what_is_not_set_is_left_alone():
    values = assignments(script_of("idle 1"))
    names = ("REPORTING_ORDER", "POISON_VAL", "WAIT_AFTER", "DISK")
    assert [values[name] for name in names] == ["", "", "", ""]


def test_the_disk_driver_is_loaded_only_for_a_disk():
    assert "virtio_blk" not in assignments(script_of("idle 1"))["MODULES"]
    values = assignments(script_of("save a 4K"))
    assert "virtio_blk" in values["MODULES"]
    assert values["DISK"] == "/dev/vda"


def test_the_last_seconds_of_the_settle_time_are_quiet():
    assert script_of("idle 1", settle_s=10.0).endswith("\nsettle 7\n")


@pytest.mark.parametrize("name", ["quick", "file-cache", "churn"])
def test_a_shell_accepts_the_script(name):
    script = init_script(LabSettings(scenario=load_scenario(name)))
    checked = subprocess.run(
        ["sh", "-n"], input=script, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def written_by_guest(tmp_path, size_bytes, fill):
    """Run the guest's own `content` here, on the fills that the guest would be given."""
    (tmp_path / "fill.random").write_bytes(fill_content("random"))
    (tmp_path / "fill.text").write_bytes(fill_content("text"))
    start = GUEST.index("content() {")
    function = GUEST[start : GUEST.index("\n}\n", start) + 3]
    script = function.replace("/fill.", f"{tmp_path}/fill.").replace("/errors", "/dev/null")
    script += f"serial=0\ncontent {size_bytes} {fill}\n"
    return subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True).stdout


@pytest.mark.parametrize("fill", ["random", "zero", "text"])
@pytest.mark.parametrize(
    "page_count", [1, 255, 256, 257, 512, 2049], ids=lambda count: f"{count}-pages"
)
def test_content_has_exactly_the_size_asked_for(tmp_path, page_count, fill):
    size_bytes = page_count * PAGE_BYTES
    assert len(written_by_guest(tmp_path, size_bytes, fill)) == size_bytes


def test_no_two_pages_of_random_content_are_equal(tmp_path):
    content = written_by_guest(tmp_path, 9 * MIB, "random")
    pages = {content[first : first + PAGE_BYTES] for first in range(0, len(content), PAGE_BYTES)}
    assert len(pages) == 9 * MIB // PAGE_BYTES


def test_fills_are_a_mebibyte_and_the_same_every_time():
    for fill in ("random", "text"):
        assert len(fill_content(fill)) == MIB
        assert fill_content(fill) == fill_content(fill)
