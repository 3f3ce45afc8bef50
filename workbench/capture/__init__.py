"""Capture: running guests in, a trace folder out, by way of eBPF.

The only room that knows bcc, and it loads it when a capture begins.
"""
