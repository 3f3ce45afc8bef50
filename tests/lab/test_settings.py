import pytest

from workbench.errors import UsageError
from workbench.lab import LabSettings, parse_poison, parse_scenario
from workbench.units import GIB, MIB

SCENARIO = parse_scenario("take a 64M\nmark halfway\nfree a", name="test")


def test_the_defaults_are_a_reporting_guest_without_poison():
    settings = LabSettings(scenario=SCENARIO)

    assert settings.reporting
    assert not settings.init_on_free
    assert settings.poison_val is None


@pytest.mark.parametrize(
    ("poison", "init_on_free", "poison_val"),
    [("none", False, None), ("init_on_free", True, None), (0xAAAAAAAA, True, 0xAAAAAAAA)],
)
def test_a_poison_value_needs_a_guest_that_clears_what_it_frees(poison, init_on_free, poison_val):
    settings = LabSettings(scenario=SCENARIO, poison=poison)

    assert settings.init_on_free == init_on_free
    assert settings.poison_val == poison_val


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"memory_bytes": 64 * MIB}, "at least"),
        ({"memory_bytes": 257 * MIB}, "multiple of 2 MiB"),
        ({"memory_bytes": 4 * GIB + 2 * MIB}, "the largest that was tried"),
        ({"memory_bytes": 140 * MIB}, "give it more memory"),
        ({"vcpu_count": 0}, "vCPUs"),
        ({"guest_count": 17}, "guests"),
        ({"reporting_order": 11}, "choose 0"),
        ({"settle_s": 1.0}, "settle time"),
        ({"accelerator": "xen"}, "choose tcg, kvm or auto"),
        ({"poison": "0xaa"}, "choose none"),
        ({"poison": 1 << 32}, "32 bits"),
        ({"poison": 1, "page_poison": False}, "page-poison"),
        ({"memory_limit_bytes": 5}, "memory limit"),
        ({"zram_bytes": 5}, "swap of 5 bytes"),
        ({"swap_file_bytes": 5}, "swap of 5 bytes"),
        ({"swap_file_bytes": MIB, "zram_bytes": MIB}, "choose one"),
        ({"page_cluster": -1}, "page cluster -1"),
        ({"record_access": True, "accelerator": "kvm"}, "under tcg only"),
        ({"migrate_at": "halfwy"}, "did you mean 'halfway'"),
        ({"attach_after": "4"}, "has no step '4'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(change, problem):
    with pytest.raises(UsageError, match=problem):
        LabSettings(scenario=SCENARIO, **change)


def test_poison_is_a_word_or_a_number():
    assert parse_poison("init_on_free") == "init_on_free"
    assert parse_poison("0xaaaaaaaa") == 0xAAAAAAAA
    assert parse_poison("170") == 170
    with pytest.raises(UsageError, match="choose none"):
        parse_poison("aaaa")
