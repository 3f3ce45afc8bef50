// Pages that the host writes to swap, by frame.
//
// -D settings: RING_PAGES, and SWAPPED_FRAME_OFFSET, where the running kernel's trace point has the
// frame (its name changed with folios; it is attached by whichever name the kernel has).

int on_swap_out(char *ctx) {
    u64 frame = *(u64 *)(ctx + SWAPPED_FRAME_OFFSET);
    if (is_lowered())
        return 0;
    emit(SOURCE_SWAP_OUT, bpf_ktime_get_ns(), frame, 0, 0);
    return 0;
}
