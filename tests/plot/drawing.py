"""What tests of charts ask of a figure: what is written on it, and how long it took."""

from __future__ import annotations

import time

import matplotlib as mpl

_SECONDS = 2
"""Of the processor: nobody waits longer for a picture.  Others may be at work on it meanwhile."""

LONG_NAME = "a-trace-of-a-fleet-with-a-name-that-nobody-would-want-to-read-twice-on-one-chart"


def texts(figure):
    """Draw the figure, and collect every text on it."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def quickly(make):
    """Make a figure and draw it, in less time than anybody waits."""
    began = time.process_time()
    figure = make()
    figure.canvas.draw()
    took = time.process_time() - began
    assert took < _SECONDS, f"drawing took {took:.1f} s"
    return figure
