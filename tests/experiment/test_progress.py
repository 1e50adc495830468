import logging
import re
import threading
import time

from adaptax.experiment import progress
from adaptax.experiment.progress import Progress, ignore, log, patience


def test_messages_that_nobody_takes_go_to_the_logger_and_are_not_shown(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="adaptax"):
        log("100 % done, %s")
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        ("adaptax", logging.INFO, "100 % done, %s")
    ]
    assert capsys.readouterr() == ("", "")


def test_what_is_not_said_is_empty(capsys):
    shown = Progress("train", 3, 10)
    assert (shown.text, dict(shown.metrics)) == ("", {})
    ignore(shown)
    assert capsys.readouterr() == ("", "")


def test_E47_what_takes_long_is_told_with_its_time_and_nothing_after_it(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_WORD", 0.02)
    said, enough = [], threading.Event()

    def listen(message):
        said.append(message)
        if len(said) == 2:
            enough.set()

    with patience("compiling", listen):
        assert enough.wait(900)
    assert all(re.fullmatch(r"compiling: \d+ s so far …", message) for message in said)
    count = len(said)
    time.sleep(0.1)
    assert len(said) <= count + 1


def test_E47_what_is_quick_is_not_told():
    said = []
    with patience("compiling", said.append):
        pass
    assert said == []
