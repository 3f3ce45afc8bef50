// Faults on guest RAM, what the host allocated for them, and pages that came back from swap.
//
// A fault, its allocation and the change of the process's counters come from one thread, in this
// order: they are joined here, and recorded as one.  A thread that reclaims memory inside its fault
// also allocates (compressed swap lives in memory) and changes counters, neither for the fault.
// Nothing else that a thread does between two faults on guest RAM changes counters, but a discard,
// which ends the fault for us (balloon.c).
//
// What happens for every page that is swapped is a raw trace point: the kernel writes no record of
// it first, for which it would add up and hash.
// -D setting: RING_PAGES.

#define MOVABLE 1  // Linux include/linux/mmzone.h, MIGRATE_MOVABLE: user pages, never page tables.
#define SWAP_ENTRIES 2  // Linux include/linux/mm_types_task.h, MM_SWAPENTS.
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
    u8 is_reclaiming;
    u8 allocations;
};

BPF_HASH(faults, u64, struct fault, 16384);
BPF_HASH(reclaiming_threads, u64, s64, 16384);  // Since when.

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

// A fault is recorded when it is served; one that never is, when its thread has the next, or does
// something that is for no fault on guest RAM.
static __always_inline void end_fault(u64 thread) {
    struct fault *fault = faults.lookup(&thread);
    if (!fault)
        return;
    if (!fault->is_served)
        emit_fault(fault, thread);
    faults.delete(&thread);
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
    struct fault *last = faults.lookup(&thread);
    if (last) {
        if (!last->is_served)
            emit_fault(last, thread);
        *last = fault;
    } else if (faults.update(&thread, &fault)) {
        count_lost(source, LOSS_MAP_FULL);
    }
}

static __always_inline void on_fault(u64 address, u64 error_code) {
    struct guest *guest = this_guest();
    if (!guest)
        return;
    if (in_guest_ram(guest, address))
        open_fault(SOURCE_FAULT, address, error_code);
    else
        end_fault(bpf_get_current_pid_tgid());
}

// Linux arch/x86/include/asm/trace/exceptions.h: address, registers, error code.
RAW_TRACEPOINT_PROBE(page_fault_user) {
    on_fault(ctx->args[0], ctx->args[2]);
    return 0;
}

RAW_TRACEPOINT_PROBE(page_fault_kernel) {
    on_fault(ctx->args[0], ctx->args[2]);
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

// Linux include/trace/events/vmscan.h: at the end, pages reclaimed.
RAW_TRACEPOINT_PROBE(mm_vmscan_direct_reclaim_begin) {
    on_reclaim_begin();
    return 0;
}

RAW_TRACEPOINT_PROBE(mm_vmscan_direct_reclaim_end) {
    on_reclaim_end(ctx->args[0]);
    return 0;
}

RAW_TRACEPOINT_PROBE(mm_vmscan_memcg_reclaim_begin) {
    on_reclaim_begin();
    return 0;
}

RAW_TRACEPOINT_PROBE(mm_vmscan_memcg_reclaim_end) {
    on_reclaim_end(ctx->args[0]);
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

// Linux include/trace/events/kmem.h: address space, and which of its counters has changed.
RAW_TRACEPOINT_PROBE(rss_stat) {
    u64 thread = bpf_get_current_pid_tgid();
    struct fault *fault = faults.lookup(&thread);
    if (!fault || fault->is_reclaiming)
        return 0;
    if ((u32)ctx->args[1] == SWAP_ENTRIES)
        on_swap_in(fault);
    else if (!fault->is_served)
        on_served(fault, thread);
    return 0;
}
