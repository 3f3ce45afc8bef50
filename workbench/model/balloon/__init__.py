"""The complete balloon device, as QEMU has it, in plain Python.

It shows what a driver, an operator or a migration can see, is proved against the real device
(docs/conformance.md), and the kernels are checked against it.
"""
