import signal
import subprocess
import sys
import time

import pytest

from adaptax.experiment.signals import SIGNALS, Interrupts, StopSignal

CODE = """
import hashlib, signal, sys, time
from adaptax.experiment.signals import Interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):  # whatever the tests' own caller ignores, as `nohup` does
    signal.signal(number, signal.SIG_DFL)
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


def start(mode):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def ending(process):
    """What it prints until it ends; it is killed if it does not."""
    with process:
        try:
            return process.communicate(timeout=20)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_where_nothing_is_lost_it_ends_at_once_even_in_the_middle_of_compiled_code(number):
    process = start("idle")
    began = time.monotonic()
    process.send_signal(number)
    stderr = ending(process)[1]
    assert process.returncode == 75
    assert stderr == "nothing to lose\n"
    assert time.monotonic() - began < 5


def test_a_second_ctrl_c_ends_at_once_while_saving():
    process = start("saving")
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    stderr = ending(process)[1]
    assert process.returncode == 75
    assert stderr.splitlines() == ["stopping after this chunk; Ctrl-C again to stop at once", "the last one is good"]


def test_the_first_signal_only_asks_and_a_second_sigterm_breaks_nothing():
    process = start("asks")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = ending(process)
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
