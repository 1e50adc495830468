import threading

from adaptax.experiment.signals import StopSignal
from adaptax.experiment.watchdog import Watchdog

PATIENCE = 900.0


class Told(StopSignal):
    """Notes what it is told instead of ending the process."""

    def __init__(self):
        super().__init__()
        self.message, self.heard = "", threading.Event()

    def end(self, message, code=75):
        self.message = message
        self.heard.set()


def test_E45_a_chunk_that_never_returns_is_told_with_the_place_where_it_is_stuck(tmp_path):
    told = Told()
    watchdog = Watchdog(0.05, told, tmp_path)
    with watchdog.open():
        watchdog.begin(30, 40, 20)
        told.heard.wait(PATIENCE)
    (crash,) = tmp_path.glob("crash-*.txt")
    assert told.message == (
        "error[75]: updates 31 to 40 are not done after 0.05 s (--chunk-timeout); where it is stuck is in "
        f"{crash}. Checkpoint 20 is safe. To go on: adaptax train --resume {tmp_path}"
    )
    text = crash.read_text()
    assert text.startswith("updates 31 to 40 are being computed\n\nthread MainThread\n")
    assert "told.heard.wait(PATIENCE)" in text


def test_E45_without_a_limit_or_after_the_chunk_nothing_is_said(tmp_path):
    told, others = Told(), set(threading.enumerate())
    for seconds in (None, 1e6):
        watchdog = Watchdog(seconds, told, tmp_path)
        with watchdog.open():
            watchdog.begin(0, 10)
            watchdog.rest()
            watchdog.begin(10, 20)
    assert told.message == ""
    for thread in set(threading.enumerate()) - others:  # one that was told to end may still be about to
        thread.join(PATIENCE)
        assert not thread.is_alive()
