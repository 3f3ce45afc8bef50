// Faults that hardware virtualisation reports by guest address.  -D setting: RING_PAGES.

TRACEPOINT_PROBE(kvm, kvm_page_fault) {
    if (this_guest())
        emit(SOURCE_GUEST_FAULT, bpf_ktime_get_ns(), args->fault_address, 0, args->error_code);
    return 0;
}
