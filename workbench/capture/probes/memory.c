// Faults on guest RAM, what the host allocated for them, and pages that came back from swap.
//
// A fault, its allocation and the change of the process's counters come from one thread, in this
// order: they are joined here, and recorded as one.  A thread that reclaims memory inside its fault
// also allocates (compressed swap lives in memory) and changes counters, neither for the fault.
// -D setting: RING_PAGES.

#define MOVABLE 1  // Linux include/linux/mmzone.h, MIGRATE_MOVABLE: user pages, never page tables.
#define SWAP_ENTRIES 2  // Linux include/linux/mm_types_task.h, MM_SWAPENTS.
#define COUNTERS 4      // Likewise, NR_MM_COUNTERS.
#define ERROR_CODE_MASK ((1ull << FAULT_ERROR_CODE_BITS) - 1)

// The last fault of a thread on guest RAM.
struct fault {
    s64 began_ns;
    s64 last_sign_ns;
    s64 address;
    s64 frame;
    s64 order;
    u64 value;  // The error code, and FAULT_ bits.
    u32 source;
    u8 is_served;
    u8 is_allocated;
    u8 is_reclaiming;
    u8 allocations;
};

// The counters of one address space, which carries an opaque id.
struct sizes {
    s64 of[COUNTERS];
    u8 is_known[COUNTERS];
};

BPF_HASH(faults, u64, struct fault, 16384);
BPF_HASH(reclaiming_threads, u64, s64, 16384);  // Since when.
BPF_HASH(sizes_of_mm, u32, struct sizes, 1024);

static __always_inline void emit_fault(struct fault *fault, u64 thread) {
    if (tallied(fault->source, 1, 0))
        return;
    struct record *record = records.ringbuf_reserve(sizeof(*record));
    if (!record) {
        count_lost(fault->source, LOSS_RING_FULL);
        return;
    }
    record->time_ns = fault->last_sign_ns;
    record->address = fault->address;
    record->length = fault->order;
    record->value = fault->value | (u64)fault->allocations << FAULT_ALLOCATIONS_SHIFT;
    record->element = fault->frame;
    record->duration_ns = fault->last_sign_ns - fault->began_ns;
    record->process = thread >> 32;
    record->thread = (u32)thread;
    record->source = fault->source;
    record->block = -1;
    submit(record);
}

// A fault is recorded when it is served; one that never is, when its thread has the next.
static __always_inline void close_fault(u64 thread) {
    struct fault *fault = faults.lookup(&thread);
    if (fault && !fault->is_served)
        emit_fault(fault, thread);
}

static __always_inline void open_fault(u32 source, u64 address, u64 error_code) {
    u64 thread = bpf_get_current_pid_tgid();
    s64 now_ns = bpf_ktime_get_ns();
    struct fault fault = {
        .began_ns = now_ns,
        .last_sign_ns = now_ns,
        .address = address,
        .frame = -1,
        .value = error_code & ERROR_CODE_MASK,
        .source = source,
    };
    close_fault(thread);
    if (faults.update(&thread, &fault))
        count_lost(source, LOSS_MAP_FULL);
}

static __always_inline void on_fault(u64 address, u64 error_code) {
    struct guest *guest = this_guest();
    if (!guest)
        return;
    if (in_guest_ram(guest, address)) {
        open_fault(SOURCE_FAULT, address, error_code);
    } else {
        u64 thread = bpf_get_current_pid_tgid();
        close_fault(thread);
        faults.delete(&thread);
    }
}

TRACEPOINT_PROBE(exceptions, page_fault_user) {
    on_fault(args->address, args->error_code);
    return 0;
}

TRACEPOINT_PROBE(exceptions, page_fault_kernel) {
    on_fault(args->address, args->error_code);
    return 0;
}

static __always_inline void set_reclaiming(u64 thread, u8 is_reclaiming) {
    struct fault *fault = faults.lookup(&thread);
    if (fault)
        fault->is_reclaiming = is_reclaiming;
}

static __always_inline void on_reclaim_begin(void) {
    u64 thread = bpf_get_current_pid_tgid();
    s64 now_ns = bpf_ktime_get_ns();
    if (!this_guest())
        return;
    set_reclaiming(thread, 1);
    if (reclaiming_threads.update(&thread, &now_ns))
        count_lost(SOURCE_RECLAIM, LOSS_MAP_FULL);
}

static __always_inline void on_reclaim_end(u64 reclaimed_pages) {
    u64 thread = bpf_get_current_pid_tgid();
    s64 *began_ns = reclaiming_threads.lookup(&thread);
    if (!began_ns)
        return;
    s64 now_ns = bpf_ktime_get_ns();
    if (!tallied(SOURCE_RECLAIM, 1, reclaimed_pages * PAGE_BYTES))
        emit_lasting(SOURCE_RECLAIM, now_ns, reclaimed_pages, now_ns - *began_ns);
    reclaiming_threads.delete(&thread);
    set_reclaiming(thread, 0);
}

TRACEPOINT_PROBE(vmscan, mm_vmscan_direct_reclaim_begin) {
    on_reclaim_begin();
    return 0;
}

TRACEPOINT_PROBE(vmscan, mm_vmscan_direct_reclaim_end) {
    on_reclaim_end(args->nr_reclaimed);
    return 0;
}

TRACEPOINT_PROBE(vmscan, mm_vmscan_memcg_reclaim_begin) {
    on_reclaim_begin();
    return 0;
}

TRACEPOINT_PROBE(vmscan, mm_vmscan_memcg_reclaim_end) {
    on_reclaim_end(args->nr_reclaimed);
    return 0;
}

TRACEPOINT_PROBE(kmem, mm_page_alloc) {
    if (args->migratetype != MOVABLE)
        return 0;
    u64 thread = bpf_get_current_pid_tgid();
    struct fault *fault = faults.lookup(&thread);
    if (!fault || fault->is_served || fault->is_reclaiming)
        return 0;
    fault->frame = args->pfn;  // -1 where there was none to be had.
    fault->order = args->order;
    fault->is_allocated = 1;
    fault->last_sign_ns = bpf_ktime_get_ns();
    if (args->order >= HUGE_PAGE_ORDER)
        fault->value |= FAULT_TRIED_HUGE;
    if (fault->frame >= 0 && fault->allocations < FAULT_ALLOCATIONS_MAX)
        fault->allocations++;
    return 0;
}

static __always_inline void on_swap_in(struct fault *fault) {
    if (!fault->is_served)
        fault->value |= FAULT_SWAPPED_IN;
    else if (!is_lowered())
        emit(SOURCE_SWAP_IN, bpf_ktime_get_ns(), 0, 0, 0);
}

static __always_inline void on_served(struct fault *fault, u64 thread) {
    fault->is_served = 1;
    fault->value |= FAULT_SERVED;
    fault->last_sign_ns = bpf_ktime_get_ns();
    emit_fault(fault, thread);
}

// Give the sizes of an address space: that of a guest, which its own changes make known.
static __always_inline struct sizes *find_sizes(u32 mm_id, u8 is_own, u32 process) {
    struct sizes *sizes = sizes_of_mm.lookup(&mm_id);
    if (!sizes && is_own && guests.lookup(&process)) {
        struct sizes none = {};
        sizes_of_mm.update(&mm_id, &none);
        sizes = sizes_of_mm.lookup(&mm_id);
    }
    return sizes;
}

TRACEPOINT_PROBE(kmem, rss_stat) {
    u64 thread = bpf_get_current_pid_tgid();
    u32 member = args->member;
    struct sizes *sizes = find_sizes(args->mm_id, args->curr, thread >> 32);
    if (!sizes || member >= COUNTERS)
        return 0;
    s64 size = args->size;
    s64 change = size - sizes->of[member];
    int is_first = !sizes->is_known[member];
    sizes->of[member] = size;
    sizes->is_known[member] = 1;
    struct fault *fault = args->curr ? faults.lookup(&thread) : 0;
    if (!fault || fault->is_reclaiming)
        return 0;
    if (member == SWAP_ENTRIES) {
        if (change < 0 && !is_first)
            on_swap_in(fault);
    } else if (!fault->is_served && (fault->is_allocated || change > 0 || is_first)) {
        // With an allocation, whatever the sum says: other threads may have changed it meanwhile.
        on_served(fault, thread);
    }
    return 0;
}
