"""Series of guests' memory from what people's monitoring has recorded already."""

from workbench.trace.monitoring.reading import read_monitoring

__all__ = ["read_monitoring"]
