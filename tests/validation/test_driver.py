"""Steps become accesses: laid out by hand here, as the virtio specification has them.

Sections are those of virtio 1.2: 2.7 split rings, 2.8 packed rings, 4.1.4 the registers.  Where the
structures lie in the memory BAR is QEMU's choice (hw/virtio/virtio-pci.c, virtio_pci_device_plug).
"""

import struct

import pytest

from workbench.model.balloon.offer import Properties, make_offer
from workbench.validation.driver import Driver

COMMON, ISR, CONFIG, NOTIFY = (0xFE000000 + offset for offset in (0, 0x1000, 0x2000, 0x3000))
DRIVER_FEATURE_SELECT, DRIVER_FEATURE = COMMON + 0x08, COMMON + 0x0C
STATUS, GENERATION = COMMON + 0x14, COMMON + 0x15
QUEUE_SELECT, QUEUE_SIZE, QUEUE_ENABLE = COMMON + 0x16, COMMON + 0x18, COMMON + 0x1C
QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE = COMMON + 0x20, COMMON + 0x28, COMMON + 0x30
"""4.1.4.3; notifications are 4 bytes apart."""

PORTS = 0xC000
"""4.1.4.10: features 0, guest features 4, PFN 8, select 14, notify 16, status 18, ISR 19; after
these the config space, 20."""

NEXT, WRITE, INDIRECT = 1, 2, 4
"""2.7.5."""
AVAIL, USED = 1 << 7, 1 << 15
"""2.8.6: of a packed ring's first round, and of its second."""

VERSION_1, PACKED = 1 << 32, 1 << 34
REPORT = 3
DEFAULT_SIZE = 32

SPLIT_RINGS = 0x200000 + 0x10000 * REPORT
TABLE = 0x300000 + 8 * 0x8000 * REPORT
TABLE_STRIDE = 0x8000
PAGE = 0x480000


def descriptor(address, length, flags, follower=0):
    """A split ring's (2.7.5): le64, le32, le16, le16."""
    return struct.pack("<QIHH", address, length, flags, follower)


def packed_descriptor(address, length, number, flags):
    """A packed ring's (2.8.13): le64, le32, le16 of the buffer's id, le16 of the flags."""
    return struct.pack("<QIHH", address, length, number, flags)


def started(size=0, *, packed=False, legacy=False):
    """Make a driver whose reporting queue is set up."""
    offer = make_offer(Properties(free_page_reporting=True, packed=packed))
    driver = Driver(offer)
    features = 0 if legacy else VERSION_1 | (PACKED if packed else 0)
    driver.compile(("start", features, [(REPORT, size)], legacy))
    return driver


def avail_of(size):
    """2.7: the available ring follows the descriptors, 16 bytes each."""
    return SPLIT_RINGS + 16 * size


def used_of(size):
    """2.7: then the used ring, aligned as a legacy device has it; 6 + 2 * size bytes later."""
    return (avail_of(size) + 6 + 2 * size + 4095) // 4096 * 4096


class TestSettingUp:
    def test_a_modern_start_goes_through_the_stages(self):
        driver = Driver(make_offer(Properties(free_page_reporting=True)))
        features = VERSION_1 | 1 << 5

        assert driver.compile(("start", features, [(REPORT, 0)])) == [
            ("writeb", STATUS, 0),
            ("writeb", STATUS, 1),
            ("writeb", STATUS, 3),
            ("writel", DRIVER_FEATURE_SELECT, 0),
            ("writel", DRIVER_FEATURE, 1 << 5),
            ("writel", DRIVER_FEATURE_SELECT, 1),
            ("writel", DRIVER_FEATURE, 1),
            ("writeb", STATUS, 0xB),
            ("memset", SPLIT_RINGS, used_of(32) + 6 + 8 * 32 - SPLIT_RINGS, 0),
            ("writew", QUEUE_SELECT, REPORT),
            ("writel", QUEUE_DESC, SPLIT_RINGS),
            ("writel", QUEUE_DRIVER, avail_of(32)),
            ("writel", QUEUE_DEVICE, used_of(32)),
            ("writew", QUEUE_ENABLE, 1),
            ("writeb", STATUS, 0xF),
        ]

    def test_a_size_that_is_asked_for_is_written_and_moves_the_rings(self):
        driver = Driver(make_offer(Properties(free_page_reporting=True)))

        assert driver.compile(("queue", REPORT, 5))[1:] == [
            ("writew", QUEUE_SELECT, REPORT),
            ("writew", QUEUE_SIZE, 5),
            ("writel", QUEUE_DESC, SPLIT_RINGS),
            ("writel", QUEUE_DRIVER, avail_of(5)),
            ("writel", QUEUE_DEVICE, used_of(5)),
            ("writew", QUEUE_ENABLE, 1),
        ]

    def test_a_legacy_start_has_no_stage_of_features_and_one_number_for_all_rings(self):
        """Page frames of 4 KiB; the used ring begins at the next one (2.7.2)."""
        driver = Driver(make_offer(Properties(free_page_reporting=True)))

        assert driver.compile(("start", 1 << 5, [(REPORT, 7)], True)) == [
            ("outb", PORTS + 18, 0),
            ("outb", PORTS + 18, 1),
            ("outb", PORTS + 18, 3),
            ("outl", PORTS + 4, 1 << 5),
            ("memset", SPLIT_RINGS, 0x1000 + 6 + 8 * 32, 0),
            ("outw", PORTS + 14, REPORT),
            ("outl", PORTS + 8, SPLIT_RINGS >> 12),
            ("outb", PORTS + 18, 7),
        ]

    def test_a_device_without_the_legacy_interface_is_spoken_to_by_the_modern_one(self):
        driver = Driver(make_offer(Properties(disable_legacy=True)))

        assert driver.compile(("reset", True)) == [("writeb", STATUS, 0)]

    @pytest.mark.parametrize("number", range(6))
    @pytest.mark.parametrize("size", [1, 3, 32, 128, 1024])
    def test_no_ring_reaches_into_another(self, number, size):
        """Nor into the tables; each is aligned as 2.7 and 2.8.10 ask for."""
        driver = Driver(make_offer(Properties(free_page_reporting=True, free_page_hint=True)))
        clear, *_ = driver.compile(("queue", number, size))
        ring = driver.rings[number]

        assert clear[:2] == ("memset", 0x200000 + 0x10000 * number)
        assert ring.desc + 16 * size <= ring.avail
        assert ring.avail + 6 + 2 * size <= ring.used
        assert ring.used + 6 + 8 * size == clear[1] + clear[2] <= clear[1] + 0x10000
        assert (ring.desc % 16, ring.avail % 4, ring.used % 4096) == (0, 0, 0)


class TestRegisters:
    @pytest.mark.parametrize(
        ("step", "modern", "legacy"),
        [
            (("status", 0xF), ("writeb", STATUS, 0xF), ("outb", PORTS + 18, 0xF)),
            (("status_read",), ("readb", STATUS), ("inb", PORTS + 18)),
            (("config_read", 12, 4), ("readl", CONFIG + 12), ("inl", PORTS + 32)),
            (("config_read", 5, 1), ("readb", CONFIG + 5), ("inb", PORTS + 25)),
            (("config_write", 4, 2, 9), ("writew", CONFIG + 4, 9), ("outw", PORTS + 24, 9)),
            (("kick", REPORT), ("writew", NOTIFY + 12, 3), ("outw", PORTS + 16, 3)),
            (("register_read", 0x3A, 2), ("readw", COMMON + 0x3A), ("readw", COMMON + 0x3A)),
            (("register_write", 0, 4, 1), ("writel", COMMON, 1), ("writel", COMMON, 1)),
            (("port_read", 0, 4), ("inl", PORTS), ("inl", PORTS)),
            (("port_write", 14, 2, 1), ("outw", PORTS + 14, 1), ("outw", PORTS + 14, 1)),
        ],
    )
    def test_one_step_is_one_access(self, step, modern, legacy):
        assert started().compile(step) == [modern]
        assert started(legacy=True).compile(step) == [legacy]

    @pytest.mark.parametrize(("width", "letter"), [(1, "b"), (2, "w"), (4, "l"), (8, "q")])
    def test_widths_have_letters(self, width, letter):
        assert started().compile(("config_write", 8, width, 1)) == [
            (f"write{letter}", CONFIG + 8, 1)
        ]
        assert started().compile(("kick", 1, width)) == [(f"write{letter}", NOTIFY + 4, 1)]

    def test_what_a_driver_sees(self):
        """Status, ISR, generation, and the whole of each used ring."""
        assert started().compile(("observe",)) == [
            ("readb", STATUS),
            ("readb", ISR),
            ("readb", GENERATION),
            ("read", used_of(32), 6 + 8 * 32),
        ]
        assert started(legacy=True).compile(("observe",)) == [
            ("inb", PORTS + 18),
            ("inb", PORTS + 19),
            ("read", used_of(32), 6 + 8 * 32),
        ]

    def test_a_reset_forgets_the_rings(self):
        driver = started()
        driver.compile(("reset",))

        assert driver.compile(("observe",))[3:] == []
        assert driver.compile(("element", REPORT, [(PAGE, 4096, 1)])) == []
        assert driver.compile(("available", REPORT, 0)) == []
        assert driver.compile(("chain", REPORT, [(PAGE, 4096, WRITE, 0)])) == []
        assert driver.compile(("avail_jump", REPORT, 1)) == []
        assert driver.compile(("avail_flags", REPORT, 1)) == []
        assert driver.compile(("used_event", REPORT, 1)) == []

    def test_memory_is_written_as_it_stands_there(self):
        driver = started()

        assert driver.compile(("fill", PAGE, 16, 7)) == [("memset", PAGE, 16, 7)]
        assert driver.compile(("poke", PAGE, "00ff10")) == [("write", PAGE, b"\x00\xff\x10")]
        assert driver.compile(("peek", PAGE, 3)) == [("read", PAGE, 3)]

    def test_the_right_to_access_memory_is_bit_2_of_the_command_register(self):
        """PCI Local Bus 3.0, 6.2.2; device 4 of bus 0."""
        address = ("outl", 0xCF8, 0x80002004)

        assert started().compile(("bus_master", 0)) == [address, ("outw", 0xCFC, 3)]
        assert started().compile(("bus_master", 1)) == [address, ("outw", 0xCFC, 7)]

    @pytest.mark.parametrize("step", [("stop",), ("balloon", 1), ("migration_begin",)])
    def test_what_is_the_hosts_is_none_of_the_drivers(self, step):
        assert started().compile(step) is None


class TestSplitRings:
    @pytest.mark.parametrize("legacy", [False, True])
    def test_a_chain_of_two(self, legacy):
        """Descriptors, then the entry, then the index: the order of 2.7.13."""
        driver = started(legacy=legacy)
        step = ("element", REPORT, [(PAGE, 100, 0), (PAGE + 4096, 4096, 1)])

        assert driver.compile(step) == [
            (
                "write",
                SPLIT_RINGS,
                descriptor(PAGE, 100, NEXT, 1) + descriptor(PAGE + 4096, 4096, WRITE),
            ),
            ("writew", avail_of(32) + 4, 0),
            ("writew", avail_of(32) + 2, 1),
        ]

    def test_the_next_chain_takes_the_next_places(self):
        driver = started()
        driver.compile(("element", REPORT, [(PAGE, 1, 0), (PAGE, 2, 1)]))

        assert driver.compile(("element", REPORT, [(PAGE, 3, 1)])) == [
            ("write", SPLIT_RINGS + 32, descriptor(PAGE, 3, WRITE)),
            ("writew", avail_of(32) + 6, 2),
            ("writew", avail_of(32) + 2, 2),
        ]

    def test_a_chain_goes_round_the_end_of_the_table(self):
        driver = started(3)
        driver.compile(("element", REPORT, [(PAGE, 1, 1), (PAGE, 2, 1)]))

        assert driver.compile(("element", REPORT, [(PAGE, 3, 1), (PAGE, 4, 1)])) == [
            ("write", SPLIT_RINGS + 32, descriptor(PAGE, 3, NEXT | WRITE, 0)),
            ("write", SPLIT_RINGS, descriptor(PAGE, 4, WRITE)),
            ("writew", avail_of(3) + 6, 2),
            ("writew", avail_of(3) + 2, 2),
        ]

    def test_entries_go_round_and_the_index_goes_on(self):
        driver = started(2)
        for _ in range(2):
            driver.compile(("available", REPORT, 1))

        assert driver.compile(("available", REPORT, 1)) == [
            ("writew", avail_of(2) + 4, 1),
            ("writew", avail_of(2) + 2, 3),
        ]

    def test_the_index_wraps_at_65536(self):
        driver = started()

        assert driver.compile(("avail_jump", REPORT, 0xFFFF)) == [
            ("writew", avail_of(32) + 2, 0xFFFF)
        ]
        assert driver.compile(("avail_jump", REPORT, 3)) == [("writew", avail_of(32) + 2, 2)]

    def test_an_indirect_chain_stands_in_a_table_of_its_own(self):
        """2.7.5.3: the one descriptor that is left is not the device's to write."""
        driver = started()
        step = ("element", REPORT, [(PAGE, 4096, 1), (PAGE, 8192, 1)], 1)

        assert driver.compile(step) == [
            (
                "write",
                TABLE,
                descriptor(PAGE, 4096, NEXT | WRITE, 1) + descriptor(PAGE, 8192, WRITE, 2),
            ),
            ("write", SPLIT_RINGS, descriptor(TABLE, 32, INDIRECT)),
            ("writew", avail_of(32) + 4, 0),
            ("writew", avail_of(32) + 2, 1),
        ]

    def test_eight_tables_are_used_in_turn(self):
        driver = started()
        places = [
            driver.compile(("element", REPORT, [(PAGE, 1, 1)], 1))[0][1] - TABLE for _ in range(9)
        ]

        assert places == [TABLE_STRIDE * number for number in (0, 1, 2, 3, 4, 5, 6, 7, 0)]

    def test_a_chain_as_given_is_not_mended(self):
        """The second descriptor leads back to itself; the first one is announced."""
        driver = started()
        loop = [(PAGE, 0, WRITE | NEXT, 1), (PAGE, 5, NEXT, 1)]
        data = descriptor(PAGE, 0, WRITE | NEXT, 1) + descriptor(PAGE, 5, NEXT, 1)
        announced = [("writew", avail_of(32) + 4, 0), ("writew", avail_of(32) + 2, 1)]

        assert driver.compile(("chain", REPORT, loop)) == [
            ("write", SPLIT_RINGS, data),
            *announced,
        ]
        assert started().compile(("chain", REPORT, loop, 1)) == [
            ("write", TABLE, data),
            ("write", SPLIT_RINGS, descriptor(TABLE, 32, INDIRECT)),
            *announced,
        ]

    def test_wishes_about_interrupts(self):
        """Flags stand at the beginning of the available ring, used_event behind it (2.7.6)."""
        driver = started(5)

        assert driver.compile(("avail_flags", REPORT, 1)) == [("writew", avail_of(5), 1)]
        assert driver.compile(("used_event", REPORT, 9)) == [("writew", avail_of(5) + 14, 9)]


class TestPackedRings:
    def test_each_descriptor_is_its_own_announcement(self):
        driver = started(4, packed=True)
        step = ("element", REPORT, [(PAGE, 100, 0), (PAGE, 4096, 1)])

        assert driver.compile(step) == [
            ("write", SPLIT_RINGS, packed_descriptor(PAGE, 100, 0, NEXT | AVAIL)),
            ("write", SPLIT_RINGS + 16, packed_descriptor(PAGE, 4096, 0, WRITE | AVAIL)),
        ]

    def test_the_flags_turn_over_at_the_end_of_the_ring(self):
        """2.8.1: in the first round AVAIL is set and USED is not, in the second the reverse."""
        driver = started(2, packed=True)
        flags = [
            struct.unpack("<QIHH", driver.compile(("element", REPORT, [(PAGE, 1, 1)]))[0][2])[3]
            for _ in range(5)
        ]

        assert flags == [WRITE | turn for turn in (AVAIL, AVAIL, USED, USED, AVAIL)]

    def test_a_chain_over_the_end_has_both(self):
        driver = started(3, packed=True)
        driver.compile(("element", REPORT, [(PAGE, 1, 1), (PAGE, 2, 1)]))

        assert driver.compile(("element", REPORT, [(PAGE, 3, 1), (PAGE, 4, 1)])) == [
            ("write", SPLIT_RINGS + 32, packed_descriptor(PAGE, 3, 1, NEXT | WRITE | AVAIL)),
            ("write", SPLIT_RINGS, packed_descriptor(PAGE, 4, 1, WRITE | USED)),
        ]

    def test_an_indirect_table_has_neither_ids_nor_next(self):
        """2.8.7: the device reads address, length and WRITE of its entries."""
        driver = started(4, packed=True)
        write_table, *rest = driver.compile(("element", REPORT, [(PAGE, 1, 1), (PAGE, 2, 1)], 1))
        table = list(struct.iter_unpack("<QIHH", write_table[2]))

        assert write_table[:2] == ("write", TABLE)
        assert [entry[:2] for entry in table] == [(PAGE, 1), (PAGE, 2)]
        assert [entry[3] & (WRITE | INDIRECT) for entry in table] == [WRITE, WRITE]
        assert rest == [("write", SPLIT_RINGS, packed_descriptor(TABLE, 32, 0, INDIRECT | AVAIL))]

    def test_wishes_about_interrupts(self):
        """The driver's event structure (2.8.14) is where a split ring has the available one."""
        driver = started(4, packed=True)

        assert driver.compile(("used_event", REPORT, 0x8001)) == [("writew", avail_of(4), 0x8001)]
        assert driver.compile(("avail_flags", REPORT, 2)) == [("writew", avail_of(4) + 2, 2)]

    def test_what_only_a_split_ring_has_is_left_out(self):
        driver = started(4, packed=True)

        assert driver.compile(("available", REPORT, 0)) == []
        assert driver.compile(("avail_jump", REPORT, 1)) == []

    def test_rings_are_packed_only_where_that_was_offered(self):
        driver = Driver(make_offer(Properties(free_page_reporting=True)))
        driver.compile(("start", VERSION_1 | PACKED, [(REPORT, 0)]))

        assert not driver.rings[REPORT].packed
