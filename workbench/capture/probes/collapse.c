// Huge pages that khugepaged put together; it does not say for whom.  -D setting: RING_PAGES.

#define SUCCEEDED 1  // Linux mm/khugepaged.c, SCAN_SUCCEED.

TRACEPOINT_PROBE(huge_memory, mm_collapse_huge_page) {
    if (args->status == SUCCEEDED)
        emit(SOURCE_COLLAPSE, bpf_ktime_get_ns(), 0, 0, 0);
    return 0;
}
