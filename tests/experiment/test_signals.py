import signal
import subprocess
import sys

import pytest

from adaptax.experiment.signals import SIGNALS, Interrupts, StopSignal
from tests.cli.conftest import PATIENCE

CODE = """
import hashlib, sys, time
from adaptax.experiment.signals import Interrupts
mode = sys.argv[1]
def block():
    # One long call into C without Python's lock, as a compilation is: no signal handler runs until it is over.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)
with Interrupts("nothing to lose") as interrupts:
    if mode == "idle":
        print("ready", flush=True)
        block()
    with interrupts.saving("the last one is good"):
        print("ready", flush=True)
        while not interrupts.asked:
            time.sleep(0.01)
        print("asked", flush=True)
        if mode == "saving":
            block()
    print(interrupts.at_once)
"""


@pytest.fixture
def in_mode(start):
    """Starts it in a mode, and waits until it is ready."""

    def begin(mode):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = start([sys.executable, "-c", CODE, mode], text=True, **pipes)
        assert process.stdout.readline() == "ready\n"
        return process

    return begin


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_where_nothing_is_lost_it_ends_at_once_even_in_the_middle_of_compiled_code(number, in_mode):
    process = in_mode("idle")
    process.send_signal(number)
    stderr = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 75  # and not 0, as if it had waited for the end of what was running
    assert stderr == "nothing to lose\n"


def test_a_second_ctrl_c_ends_at_once_while_saving(in_mode):
    process = in_mode("saving")
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 75
    assert stderr.splitlines() == ["stopping after this chunk; Ctrl-C again to stop at once", "the last one is good"]


def test_the_first_signal_only_asks_and_a_second_sigterm_breaks_nothing(in_mode):
    process = in_mode("asks")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 75)  # the second may arrive after saving, where nothing is lost
    assert stdout.startswith("asked\n")
    assert stderr.startswith("stopping after this chunk")


def test_whoever_holds_a_signal_can_ask():
    stop = StopSignal("nothing to lose")
    assert not stop.asked
    with stop.saving("x"):
        assert stop.at_once is None
        stop.ask()
    assert stop.asked
    assert stop.at_once == "nothing to lose"


def test_afterwards_signals_are_handled_as_before():
    before = [signal.getsignal(number) for number in SIGNALS], signal.set_wakeup_fd(-1)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) != before[0][1]
    assert ([signal.getsignal(number) for number in SIGNALS], signal.set_wakeup_fd(-1)) == before
