// Faults that hardware virtualisation reports by guest address.  What the host allocates for them,
// the probes of memory.c see.  -D setting: RING_PAGES.

TRACEPOINT_PROBE(kvm, kvm_page_fault) {
    if (this_guest())
        open_fault(SOURCE_GUEST_FAULT, args->fault_address, args->error_code);
    return 0;
}
