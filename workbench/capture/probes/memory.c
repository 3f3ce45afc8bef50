// Faults on guest RAM, what the host allocated for them, and pages that came back from swap.
//
// A fault, its allocation and the change of the process's counters come from one thread, in this
// order: the reader joins them by thread.  A thread that reclaims memory inside its fault also
// allocates (compressed swap lives in memory) and changes counters: that is not the fault's own.
// -D setting: RING_PAGES.

#define MOVABLE 1  // Linux include/linux/mmzone.h, MIGRATE_MOVABLE: user pages, never page tables.
#define SWAP_ENTRIES 2  // Linux include/linux/mm_types_task.h, MM_SWAPENTS.

struct counter {
    u32 mm_id;
    u32 member;
};

// How far a thread's fault has come.
#define FAULT_OPEN 1
#define FAULT_ALLOCATED 2
#define FAULT_SERVED 3

BPF_HASH(open_faults, u64, u8, 16384);
BPF_HASH(reclaiming_threads, u64, s64, 16384);  // Since when.
BPF_HASH(processes_of_mm, u32, u32, 1024);
BPF_HASH(counters, struct counter, s64, 4096);

static __always_inline void open_fault(u32 source, u64 address, u64 error_code) {
    u64 thread = bpf_get_current_pid_tgid();
    u8 state = FAULT_OPEN;
    if (open_faults.update(&thread, &state))
        count_lost(source, LOSS_MAP_FULL);
    emit(source, bpf_ktime_get_ns(), address, 0, error_code);
}

static __always_inline void on_fault(u64 address, u64 error_code) {
    struct guest *guest = this_guest();
    if (!guest)
        return;
    if (in_guest_ram(guest, address)) {
        open_fault(SOURCE_FAULT, address, error_code);
    } else {
        u64 thread = bpf_get_current_pid_tgid();
        open_faults.delete(&thread);
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

static __always_inline void on_reclaim_begin(void) {
    u64 thread = bpf_get_current_pid_tgid();
    s64 now_ns = bpf_ktime_get_ns();
    if (this_guest() && reclaiming_threads.update(&thread, &now_ns))
        count_lost(SOURCE_RECLAIM, LOSS_MAP_FULL);
}

static __always_inline void on_reclaim_end(u64 reclaimed_pages) {
    u64 thread = bpf_get_current_pid_tgid();
    s64 *began_ns = reclaiming_threads.lookup(&thread);
    if (!began_ns)
        return;
    s64 now_ns = bpf_ktime_get_ns();
    emit_lasting(SOURCE_RECLAIM, now_ns, reclaimed_pages, now_ns - *began_ns);
    reclaiming_threads.delete(&thread);
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

// The state of the thread's fault, unless it has none or is reclaiming.
static __always_inline u8 *fault_being_served(u64 thread) {
    return reclaiming_threads.lookup(&thread) ? 0 : open_faults.lookup(&thread);
}

TRACEPOINT_PROBE(kmem, mm_page_alloc) {
    u64 thread = bpf_get_current_pid_tgid();
    if (args->migratetype != MOVABLE)
        return 0;
    u8 *state = fault_being_served(thread);
    if (state && *state != FAULT_SERVED) {
        *state = FAULT_ALLOCATED;
        emit(SOURCE_ALLOCATION, bpf_ktime_get_ns(), args->pfn, args->order, 0);
    }
    return 0;
}

// The counters of one address space carry an opaque id; the guest's own changes tell whose it is.
TRACEPOINT_PROBE(kmem, rss_stat) {
    u64 thread = bpf_get_current_pid_tgid();
    u32 process = thread >> 32;
    struct counter key = {.mm_id = args->mm_id, .member = args->member};
    s64 size = args->size;
    if (args->curr && guests.lookup(&process))
        processes_of_mm.update(&key.mm_id, &process);
    else if (!processes_of_mm.lookup(&key.mm_id))
        return 0;
    s64 *last = counters.lookup(&key);
    s64 change = last ? size - *last : 0;
    int is_first = last == 0;
    counters.update(&key, &size);
    u8 *state = fault_being_served(thread);
    if (!args->curr || !state)
        return 0;
    if (key.member == SWAP_ENTRIES) {
        if (change < 0)
            emit(SOURCE_SWAP_IN, bpf_ktime_get_ns(), 0, -change, 0);
    } else if (*state == FAULT_ALLOCATED || (*state == FAULT_OPEN && (change > 0 || is_first))) {
        // With an allocation, whatever the sum says: other threads may have changed it meanwhile.
        *state = FAULT_SERVED;
        emit(SOURCE_FAULT_DONE, bpf_ktime_get_ns(), 0, change, 0);
    }
    return 0;
}
