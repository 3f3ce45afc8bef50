// The balloon device, seen through the functions that QEMU exports.
//
// -D setting: RING_PAGES.  Where QEMU keeps what differs from build to build, so each guest has its
// own offsets.

#define BALLOON_DEVICE_ID 5  // virtio 1.2, 5.5.1.

struct pop {
    u64 device;
    s64 began_ns;
    u32 queue;
    u32 padding;
};

// The element that a thread handles.
struct handled {
    s64 began_ns;  // When the pop began that gave it.
    s64 number;    // Of the reported element; -1 is none.
};

struct discard {
    s64 time_ns;
    u64 offset_bytes;
    u64 length_bytes;
    s32 block;
    u32 padding;
};

// The head of QEMU's VirtQueueElement (include/hw/virtio/virtio.h), checked at every element.
struct element {
    u32 index;
    u32 len;
    u32 ndescs;
    u32 out_num;
    u32 in_num;
    u32 padding;
    u64 in_addr;
    u64 out_addr;
    u64 in_sg;
    u64 out_sg;
};

struct vector {
    u64 base;
    u64 length;
};

BPF_HASH(open_pops, u64, struct pop, 4096);
BPF_HASH(open_discards, u64, struct discard, 4096);
BPF_HASH(open_features, u64, u64, 4096);
BPF_HASH(current_elements, u64, struct handled, 4096);
BPF_HASH(element_counts, u32, s64, GUESTS);
BPF_HASH(inhibited_processes, u32, u8, GUESTS);

#define STATISTICS_QUEUE 2  // Behind inflate and deflate (virtio 1.2, 5.5.2).
_Static_assert(SOURCE_DEFLATE == SOURCE_INFLATE + 1, "as the queues");
_Static_assert(SOURCE_STATISTIC == SOURCE_INFLATE + STATISTICS_QUEUE, "as the queues");

#define MOST_PIECES 32  // Of one element, that are looked at to count what is in them.

#define STATISTIC_BYTES 10  // virtio 1.2, 5.5.6.3, struct virtio_balloon_stat.

static __always_inline int is_balloon(struct guest *guest, u64 device) {
    u16 id = 0;
    bpf_probe_read_user(&id, sizeof(id), (void *)(device + guest->device_id));
    return id == BALLOON_DEVICE_ID;
}

int on_pop_enter(struct pt_regs *ctx) {
    u64 queue_address = PT_REGS_PARM1(ctx);
    u64 thread = bpf_get_current_pid_tgid();
    struct pop pop = {};
    u16 queue = 0;
    struct guest *guest = this_guest();
    if (!guest)
        return 0;
    bpf_probe_read_user(&pop.device, sizeof(pop.device),
                        (void *)(queue_address + guest->queue_device));
    if (!is_balloon(guest, pop.device))
        return 0;
    bpf_probe_read_user(&queue, sizeof(queue), (void *)(queue_address + guest->queue_index));
    pop.queue = queue;
    pop.began_ns = bpf_ktime_get_ns();
    if (open_pops.update(&thread, &pop))
        count_lost(SOURCE_REPORT_RANGE, LOSS_MAP_FULL);
    return 0;
}

// QEMU allocates an element and its four arrays in one piece, one behind the other (QEMU 7.2
// hw/virtio/virtio.c, virtqueue_alloc_element).  An element that is not laid out so is not read.
static __always_inline int is_known_layout(struct element *element) {
    return element->in_num <= LONGEST_ELEMENT && element->out_num <= LONGEST_ELEMENT &&
           element->out_addr == element->in_addr + 8ull * element->in_num &&
           element->out_sg == element->in_sg + 16ull * element->in_num;
}

// Note which element the thread handles: what it discards until its next pop is for that one.
static __always_inline void begin_element(u64 thread, s64 began_ns, s64 number) {
    struct handled handled = {.began_ns = began_ns, .number = number};
    if (current_elements.update(&thread, &handled))
        count_lost(SOURCE_INHIBIT, LOSS_MAP_FULL);
}

static __always_inline void count_report(struct element *element) {
    u64 bytes = 0;
    for (u32 row = 0; row < LONGEST_ELEMENT; row++) {
        struct vector vector = {};
        if (row >= element->in_num)
            break;
        bpf_probe_read_user(&vector, sizeof(vector), (void *)(element->in_sg + 16ull * row));
        bytes += vector.length;
    }
    add_to_tally(SOURCE_REPORT_RANGE, element->in_num, bytes);
}

static __always_inline void emit_report(struct element *element, u64 thread, s64 began_ns) {
    u32 process = thread >> 32;
    s64 zero = 0;
    s64 *count = element_counts.lookup_or_try_init(&process, &zero);
    if (!count) {
        count_lost(SOURCE_REPORT_RANGE, LOSS_MAP_FULL);
        return;
    }
    s64 number = __sync_fetch_and_add(count, 1);
    s64 time_ns = bpf_ktime_get_ns();
    begin_element(thread, began_ns, number);
    if (is_lowered()) {
        count_report(element);
        return;
    }
    for (u32 row = 0; row < LONGEST_ELEMENT; row++) {
        struct vector vector = {};
        u64 guest_address = 0;
        if (row >= element->in_num)
            break;
        if (bpf_probe_read_user(&vector, sizeof(vector), (void *)(element->in_sg + 16ull * row)) ||
            bpf_probe_read_user(&guest_address, sizeof(guest_address),
                                (void *)(element->in_addr + 8ull * row))) {
            count_losses(SOURCE_REPORT_RANGE, LOSS_UNREADABLE, element->in_num - row);
            break;
        }
        struct record *record = records.ringbuf_reserve(sizeof(*record));
        if (!record) {
            count_lost(SOURCE_REPORT_RANGE, LOSS_RING_FULL);
            continue;
        }
        record->time_ns = time_ns;
        record->address = vector.base;
        record->length = vector.length;
        record->value = guest_address;
        record->element = number;
        record->duration_ns = 0;
        record->process = process;
        record->thread = (u32)thread;
        record->source = SOURCE_REPORT_RANGE;
        record->block = -1;
        submit(record);
    }
}

static __always_inline void emit_hint_command(struct element *element) {
    struct vector vector = {};
    u32 command = 0;
    if (bpf_probe_read_user(&vector, sizeof(vector), (void *)element->out_sg) ||
        vector.length < sizeof(command) ||
        bpf_probe_read_user(&command, sizeof(command), (void *)vector.base)) {
        count_lost(SOURCE_HINT_COMMAND, LOSS_UNREADABLE);
        return;
    }
    emit(SOURCE_HINT_COMMAND, bpf_ktime_get_ns(), 0, 0, command);
}

// The pages of an element of the inflate or deflate queue: an array of 32-bit frame numbers (QEMU
// 7.2 hw/virtio/virtio-balloon.c, virtio_balloon_handle_output).  Drivers send it in one piece;
// what comes in further pieces, or behind the longest array that is known, is counted as lost.
static __always_inline void emit_balloon_pages(struct element *element, u32 source) {
    struct vector vector = {};
    s64 time_ns = bpf_ktime_get_ns();
    if (bpf_probe_read_user(&vector, sizeof(vector), (void *)element->out_sg)) {
        count_lost(source, LOSS_UNREADABLE);
        return;
    }
    u64 count = vector.length / sizeof(u32);
    if (tallied(source, count, count * PAGE_BYTES))
        return;
    for (u32 row = 0; row < LONGEST_ELEMENT; row++) {
        u32 frame = 0;
        if (row >= count)
            break;
        if (bpf_probe_read_user(&frame, sizeof(frame), (void *)(vector.base + 4ull * row))) {
            count_losses(source, LOSS_UNREADABLE, count - row);
            return;
        }
        emit(source, time_ns, (u64)frame << 12, 0, 0);
    }
    if (count > LONGEST_ELEMENT)
        count_losses(source, LOSS_TOO_LONG, count - LONGEST_ELEMENT);
    for (u32 piece = 1; piece < MOST_PIECES; piece++) {
        if (piece >= element->out_num ||
            bpf_probe_read_user(&vector, sizeof(vector), (void *)(element->out_sg + 16ull * piece)))
            return;
        count_losses(source, LOSS_TOO_LONG, vector.length / sizeof(u32));
    }
}

static __always_inline void emit_statistics(struct element *element) {
    struct vector vector = {};
    s64 time_ns = bpf_ktime_get_ns();
    if (bpf_probe_read_user(&vector, sizeof(vector), (void *)element->out_sg)) {
        count_lost(SOURCE_STATISTIC, LOSS_UNREADABLE);
        return;
    }
    u64 count = vector.length / STATISTIC_BYTES;
    for (u32 row = 0; row < MOST_STATISTICS; row++) {
        u16 tag = 0;
        u64 value = 0;
        u64 place = vector.base + STATISTIC_BYTES * row;
        if (row >= count)
            return;
        if (bpf_probe_read_user(&tag, sizeof(tag), (void *)place) ||
            bpf_probe_read_user(&value, sizeof(value), (void *)(place + sizeof(tag))))
            count_lost(SOURCE_STATISTIC, LOSS_UNREADABLE);
        else
            emit(SOURCE_STATISTIC, time_ns, tag, 0, value);
    }
    if (count > MOST_STATISTICS)
        count_losses(SOURCE_STATISTIC, LOSS_TOO_LONG, count - MOST_STATISTICS);
}

static __always_inline u32 source_of_queue(struct guest *guest, u32 queue) {
    if (queue == guest->reporting_queue)
        return SOURCE_REPORT_RANGE;
    if (queue == guest->hint_queue)
        return SOURCE_HINT_COMMAND;
    // By a sum, because the verifier would walk the loop behind a branch once for each queue.
    return queue <= STATISTICS_QUEUE ? SOURCE_INFLATE + queue : 0;
}

int on_pop_return(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    u64 address = PT_REGS_RC(ctx);
    struct pop *open = open_pops.lookup(&thread);
    struct guest *guest = this_guest();
    struct element element = {};
    if (!open || !guest)
        return 0;
    u32 source = source_of_queue(guest, open->queue);
    s64 began_ns = open->began_ns;
    open_pops.delete(&thread);
    current_elements.delete(&thread);
    if (!address || !source)
        return 0;
    if (bpf_probe_read_user(&element, sizeof(element), (void *)address)) {
        count_lost(source, LOSS_UNREADABLE);
        return 0;
    }
    if (!is_known_layout(&element)) {
        count_lost(source, LOSS_UNKNOWN_LAYOUT);
        return 0;
    }
    if (source == SOURCE_REPORT_RANGE) {
        emit_report(&element, thread, began_ns);
    } else if (source >= SOURCE_INFLATE && source < SOURCE_STATISTIC) {
        begin_element(thread, began_ns, -1);
        if (element.out_num > 0)
            emit_balloon_pages(&element, source);
    } else if (element.out_num > 0 && source == SOURCE_HINT_COMMAND) {
        emit_hint_command(&element);
    } else if (element.out_num > 0) {
        emit_statistics(&element);
    }
    return 0;
}

// Whether discards are inhibited, QEMU asks three functions, until one says yes (QEMU 7.2
// hw/virtio/virtio-balloon.c, virtio_balloon_inhibited).  A change counts from before the element
// for which it was asked.  Others ask them too: only while an element is handled it is the balloon.
static __always_inline int judge_inhibited(struct pt_regs *ctx, int is_last) {
    u64 thread = bpf_get_current_pid_tgid();
    u32 process = thread >> 32;
    struct handled *handled = current_elements.lookup(&thread);
    u8 now = (PT_REGS_RC(ctx) & 0xff) != 0;  // A bool is returned in the lowest byte alone.
    if (!handled || (!now && !is_last))
        return 0;
    u8 *before = inhibited_processes.lookup(&process);
    if ((before ? *before : 0) == now)
        return 0;
    if (inhibited_processes.update(&process, &now))
        count_lost(SOURCE_INHIBIT, LOSS_MAP_FULL);
    emit(SOURCE_INHIBIT, handled->began_ns, 0, 0, now);
    return 0;
}

int on_inhibit_check(struct pt_regs *ctx) {
    return judge_inhibited(ctx, 0);
}

int on_last_inhibit_check(struct pt_regs *ctx) {
    return judge_inhibited(ctx, 1);
}

int on_discard_enter(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    u64 block_address = PT_REGS_PARM1(ctx);
    struct discard discard = {.block = -1};
    struct guest *guest = this_guest();
    if (!guest)
        return 0;
    end_fault(thread);
    for (int number = 0; number < GUEST_BLOCKS; number++) {
        if (guest->blocks[number].block_address == block_address)
            discard.block = number;
    }
    discard.time_ns = bpf_ktime_get_ns();
    discard.offset_bytes = PT_REGS_PARM2(ctx);
    discard.length_bytes = PT_REGS_PARM3(ctx);
    open_discards.update(&thread, &discard);  // Where that fails, the return counts the loss.
    return 0;
}

int on_discard_return(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct discard *open = open_discards.lookup(&thread);
    if (!this_guest())
        return 0;
    if (!open) {
        count_lost(SOURCE_DISCARD, LOSS_NO_CALL);  // We attached while it ran, or had no room.
        return 0;
    }
    struct handled *handled = current_elements.lookup(&thread);
    struct record *record = 0;
    if (!tallied(SOURCE_DISCARD, 1, open->length_bytes)) {
        record = records.ringbuf_reserve(sizeof(*record));
        if (!record)
            count_lost(SOURCE_DISCARD, LOSS_RING_FULL);
    }
    if (record) {
        record->time_ns = open->time_ns;
        record->address = open->offset_bytes;
        record->length = open->length_bytes;
        record->value = (s32)PT_REGS_RC(ctx);
        record->element = handled ? handled->number : -1;
        record->duration_ns = bpf_ktime_get_ns() - open->time_ns;
        record->process = thread >> 32;
        record->thread = (u32)thread;
        record->source = SOURCE_DISCARD;
        record->block = open->block;
        submit(record);
    }
    open_discards.delete(&thread);
    return 0;
}

int on_hint(struct pt_regs *ctx) {
    if (this_guest() && !tallied(SOURCE_HINT_RANGE, 1, PT_REGS_PARM2(ctx)))
        emit(SOURCE_HINT_RANGE, bpf_ktime_get_ns(), PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), 0);
    return 0;
}

// The six writers of the config space differ in width only: (device, offset, value).
static __always_inline int on_config_write(struct pt_regs *ctx, s64 width_bytes) {
    struct guest *guest = this_guest();
    if (guest && is_balloon(guest, PT_REGS_PARM1(ctx))) {
        u64 mask = (1ull << (8 * width_bytes)) - 1;
        emit(SOURCE_CONFIG_WRITE, bpf_ktime_get_ns(), (u32)PT_REGS_PARM2(ctx), width_bytes,
             PT_REGS_PARM3(ctx) & mask);
    }
    return 0;
}

int on_config_write_byte(struct pt_regs *ctx) {
    return on_config_write(ctx, 1);
}

int on_config_write_word(struct pt_regs *ctx) {
    return on_config_write(ctx, 2);
}

int on_config_write_long(struct pt_regs *ctx) {
    return on_config_write(ctx, 4);
}

static __always_inline void emit_features(struct guest *guest, u64 device) {
    u64 features = 0;
    void *address = (void *)(device + guest->device_features);
    if (bpf_probe_read_user(&features, sizeof(features), address))
        count_lost(SOURCE_FEATURES, LOSS_UNREADABLE);
    else
        emit(SOURCE_FEATURES, bpf_ktime_get_ns(), 0, 0, features);
}

int on_features_enter(struct pt_regs *ctx) {
    u64 device = PT_REGS_PARM1(ctx);
    u64 thread = bpf_get_current_pid_tgid();
    struct guest *guest = this_guest();
    if (guest && is_balloon(guest, device) && open_features.update(&thread, &device))
        count_lost(SOURCE_FEATURES, LOSS_MAP_FULL);
    return 0;
}

int on_features_return(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    u64 *device = open_features.lookup(&thread);
    struct guest *guest = this_guest();
    if (device && guest) {
        emit_features(guest, *device);
        open_features.delete(&thread);
    }
    return 0;
}

#define DRIVER_OK 0x4  // virtio 1.2, 2.1.

int on_status(struct pt_regs *ctx) {
    u64 device = PT_REGS_PARM1(ctx);
    u8 status = PT_REGS_PARM2(ctx);
    struct guest *guest = this_guest();
    if (!guest || !is_balloon(guest, device))
        return 0;
    if (status & DRIVER_OK)
        emit_features(guest, device);
    emit(SOURCE_STATUS, bpf_ktime_get_ns(), 0, 0, status);
    return 0;
}

int on_reset(struct pt_regs *ctx) {
    struct guest *guest = this_guest();
    if (guest && is_balloon(guest, PT_REGS_PARM1(ctx)))
        emit(SOURCE_RESET, bpf_ktime_get_ns(), 0, 0, 0);
    return 0;
}

int on_precopy(struct pt_regs *ctx) {
    if (this_guest())
        emit(SOURCE_PRECOPY, bpf_ktime_get_ns(), 0, 0, (s32)PT_REGS_PARM1(ctx));
    return 0;
}

// QEMU asks which pages were written (QEMU 7.2 migration/ram.c, migration_bitmap_sync).  Its notice
// of that comes from the file that precopy_notify is in, and the compiler leaves no call there.
int on_bitmap_sync(struct pt_regs *ctx) {
    if (this_guest())
        emit(SOURCE_BITMAP_SYNC, bpf_ktime_get_ns(), 0, 0, 0);
    return 0;
}
