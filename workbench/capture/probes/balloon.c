// The balloon device, seen through the functions that QEMU exports.
//
// -D setting: RING_PAGES.  Where QEMU keeps what differs from build to build, so each guest has its
// own offsets.

#define BALLOON_DEVICE_ID 5  // virtio 1.2, 5.5.1.

struct pop {
    u64 device;
    u32 queue;
    u32 padding;
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
BPF_HASH(current_elements, u64, s64, 4096);
BPF_HASH(element_counts, u32, s64, GUESTS);

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

static __always_inline void emit_report(struct element *element, u64 thread) {
    u32 process = thread >> 32;
    s64 zero = 0;
    s64 *count = element_counts.lookup_or_try_init(&process, &zero);
    if (!count) {
        count_lost(SOURCE_REPORT_RANGE, LOSS_MAP_FULL);
        return;
    }
    s64 number = __sync_fetch_and_add(count, 1);
    s64 time_ns = bpf_ktime_get_ns();
    current_elements.update(&thread, &number);
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
        records.ringbuf_submit(record, 0);
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

int on_pop_return(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    u64 address = PT_REGS_RC(ctx);
    struct pop *open = open_pops.lookup(&thread);
    struct guest *guest = this_guest();
    struct element element = {};
    if (!open || !guest)
        return 0;
    u32 queue = open->queue;
    open_pops.delete(&thread);
    current_elements.delete(&thread);
    if (!address || (queue != guest->reporting_queue && queue != guest->hint_queue))
        return 0;
    u32 source = queue == guest->reporting_queue ? SOURCE_REPORT_RANGE : SOURCE_HINT_COMMAND;
    if (bpf_probe_read_user(&element, sizeof(element), (void *)address)) {
        count_lost(source, LOSS_UNREADABLE);
        return 0;
    }
    if (!is_known_layout(&element)) {
        count_lost(source, LOSS_UNKNOWN_LAYOUT);
        return 0;
    }
    if (source == SOURCE_REPORT_RANGE)
        emit_report(&element, thread);
    else if (element.out_num > 0)
        emit_hint_command(&element);
    return 0;
}

int on_discard_enter(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    u64 block_address = PT_REGS_PARM1(ctx);
    struct discard discard = {.block = -1};
    struct guest *guest = this_guest();
    if (!guest)
        return 0;
    for (int number = 0; number < GUEST_BLOCKS; number++) {
        if (guest->blocks[number].block_address == block_address)
            discard.block = number;
    }
    discard.time_ns = bpf_ktime_get_ns();
    discard.offset_bytes = PT_REGS_PARM2(ctx);
    discard.length_bytes = PT_REGS_PARM3(ctx);
    if (open_discards.update(&thread, &discard))
        count_lost(SOURCE_DISCARD, LOSS_MAP_FULL);
    return 0;
}

int on_discard_return(struct pt_regs *ctx) {
    u64 thread = bpf_get_current_pid_tgid();
    struct discard *open = open_discards.lookup(&thread);
    if (!this_guest())
        return 0;
    if (!open) {
        count_lost(SOURCE_DISCARD, LOSS_NO_CALL);  // We attached while it ran.
        return 0;
    }
    s64 *number = current_elements.lookup(&thread);
    struct record *record = records.ringbuf_reserve(sizeof(*record));
    if (!record) {
        count_lost(SOURCE_DISCARD, LOSS_RING_FULL);
    } else {
        record->time_ns = open->time_ns;
        record->address = open->offset_bytes;
        record->length = open->length_bytes;
        record->value = (s32)PT_REGS_RC(ctx);
        record->element = number ? *number : -1;
        record->duration_ns = bpf_ktime_get_ns() - open->time_ns;
        record->process = thread >> 32;
        record->thread = (u32)thread;
        record->source = SOURCE_DISCARD;
        record->block = open->block;
        records.ringbuf_submit(record, 0);
    }
    open_discards.delete(&thread);
    return 0;
}

int on_hint(struct pt_regs *ctx) {
    if (this_guest())
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
