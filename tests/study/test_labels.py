"""What is compared is called by words, and different things by different ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.study import WITHOUT_REPORTING, variants

LISTS = st.fixed_dictionaries(
    {},
    optional={
        "reporting_order": st.lists(st.integers(0, 10), min_size=1, max_size=3, unique=True),
        "reporting_delay_ns": st.lists(
            st.sampled_from([10**6, 1_001_000, 250 * 10**6, 10**9, 1_000_000_001]),
            min_size=1,
            unique=True,
        ),
        "reporting_capacity": st.just([32, 4096]),
        "poison_val": st.just([0, 0xAAAAAAAA]),
    },
)


def test_what_is_compared_is_named_as_people_say_it():
    found = variants(
        device={"page_poison": [False]},
        guest={"reporting_order": [9], "reporting_delay_ns": ["1500ms"], "poison_val": [0xAA]},
        inhibited_share=[0.25],
    )
    (linux,) = set(variants(device={}, guest={})) - {WITHOUT_REPORTING}

    assert WITHOUT_REPORTING.label == "without reporting"
    assert linux.label == "reporting as Linux has it"
    assert found[1].label == (
        "order 9, delay 1,500 ms, page_poison off, poison_val 0xaa, 25 % inhibited"
    )


@given(guest=LISTS, shares=st.just([0.0, 0.1, 0.10001]))
def test_no_two_that_are_compared_have_one_name(guest, shares):
    found = variants(device={}, guest=guest, inhibited_share=shares)

    assert len({each.label for each in found}) == len(found)
