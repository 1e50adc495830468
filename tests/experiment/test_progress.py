import logging

from adaptax.experiment.progress import Progress, ignore, log


def test_messages_that_nobody_takes_go_to_the_logger_and_are_not_shown(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="adaptax"):
        log("100 % done, %s")
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        ("adaptax", logging.INFO, "100 % done, %s")
    ]
    assert capsys.readouterr() == ("", "")


def test_what_is_not_said_is_empty(capsys):
    progress = Progress("train", 3, 10)
    assert (progress.text, dict(progress.metrics)) == ("", {})
    ignore(progress)
    assert capsys.readouterr() == ("", "")
