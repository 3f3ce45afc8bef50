import signal
import threading

import pytest

from workbench.lab.interrupt import SIGNALS, Interruptions


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_heard_at_the_next_check_and_not_before(number):
    with Interruptions() as interruptions:
        interruptions.check()
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            interruptions.check()


def stop_while_tidying(interruptions, tidied):
    try:
        interruptions.check()
    finally:
        signal.raise_signal(signal.SIGINT)
        tidied.append(True)


def test_a_second_signal_does_not_cut_the_tidying_short():
    tidied = []
    with Interruptions() as interruptions:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop_while_tidying(interruptions, tidied)
    assert tidied


def test_whoever_listened_before_listens_again():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruptions():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_other_threads_leave_signals_alone():
    failures = []

    def listen():
        try:
            with Interruptions() as interruptions:
                interruptions.check()
        except ValueError as error:  # What Python raises for signal() in such a thread.
            failures.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert failures == []
