// What all probes share: the guests that are captured, the ring, and the count of what was lost.
#include <linux/ptrace.h>

#define GUESTS 1024  // On one host at a time; more are refused.
#define GUEST_BLOCKS 8  // Guest RAM comes in one block, or one for each NUMA node or DIMM.

struct block {
    u64 first;  // Host addresses [first, stop).
    u64 stop;
    u64 block_address;  // Of QEMU's RAMBlock.
};

struct guest {
    u32 reporting_queue;
    u32 hint_queue;
    u32 queue_device;  // Offsets in QEMU's VirtQueue and VirtIODevice: each build has its own.
    u32 queue_index;
    u32 device_id;
    u32 device_features;
    struct block blocks[GUEST_BLOCKS];
};

BPF_HASH(guests, u32, struct guest, GUESTS);
BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_ARRAY(losses, u64, SOURCE_COUNT * LOSS_COUNT);

static __always_inline void count_losses(u32 source, u32 loss, u64 number) {
    u32 row = source * LOSS_COUNT + loss;
    u64 *count = losses.lookup(&row);
    if (count)
        __sync_fetch_and_add(count, number);
}

static __always_inline void count_lost(u32 source, u32 loss) {
    count_losses(source, loss, 1);
}

static __always_inline struct guest *this_guest(void) {
    u32 process = bpf_get_current_pid_tgid() >> 32;
    return guests.lookup(&process);
}

// Whether the address is in guest RAM.
static __always_inline int in_guest_ram(struct guest *guest, u64 address) {
    for (int number = 0; number < GUEST_BLOCKS; number++) {
        if (address >= guest->blocks[number].first && address < guest->blocks[number].stop)
            return 1;
    }
    return 0;
}

// How much is recorded (schema.py, Detail), and what is only counted where that is not everything.
struct tally_key {
    u32 process;
    u32 source;
};

struct tally {
    u64 number;
    u64 bytes;
};

BPF_ARRAY(details, u32, 1);
BPF_HASH(tallies, struct tally_key, struct tally, GUESTS * SOURCE_COUNT);

static __always_inline int is_lowered(void) {
    u32 first = 0;
    u32 *detail = details.lookup(&first);
    return detail && *detail;
}

static __always_inline void add_to_tally(u32 source, u64 number, u64 bytes) {
    struct tally_key key = {.process = bpf_get_current_pid_tgid() >> 32, .source = source};
    struct tally none = {};
    struct tally *tally = tallies.lookup_or_try_init(&key, &none);
    if (!tally) {
        count_losses(source, LOSS_MAP_FULL, number);
        return;
    }
    __sync_fetch_and_add(&tally->number, number);
    __sync_fetch_and_add(&tally->bytes, bytes);
}

// Whether so much is only counted, which it then is.
static __always_inline int tallied(u32 source, u64 number, u64 bytes) {
    if (!is_lowered())
        return 0;
    add_to_tally(source, number, bytes);
    return 1;
}

// The reader looks by itself, many times a second: nobody need be woken.
static __always_inline void submit(struct record *record) {
    records.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline void emit_record(struct record *filled) {
    u64 thread = bpf_get_current_pid_tgid();
    struct record *record = records.ringbuf_reserve(sizeof(*record));
    if (!record) {
        count_lost(filled->source, LOSS_RING_FULL);
        return;
    }
    *record = *filled;
    record->process = thread >> 32;
    record->thread = (u32)thread;
    submit(record);
}

static __always_inline void emit(u32 source, s64 time_ns, s64 address, s64 length, s64 value) {
    struct record record = {
        .time_ns = time_ns,
        .address = address,
        .length = length,
        .value = value,
        .element = -1,
        .source = source,
        .block = -1,
    };
    emit_record(&record);
}

static __always_inline void emit_lasting(u32 source, s64 time_ns, s64 length, s64 duration_ns) {
    struct record record = {
        .time_ns = time_ns,
        .length = length,
        .element = -1,
        .duration_ns = duration_ns,
        .source = source,
        .block = -1,
    };
    emit_record(&record);
}
