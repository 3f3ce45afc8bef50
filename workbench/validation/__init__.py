"""Hold the model against the real thing: the balloon device against QEMU's own."""
