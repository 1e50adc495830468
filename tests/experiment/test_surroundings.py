from adaptax.experiment.progress import Progress
from adaptax.experiment.surroundings import Surroundings


def test_by_default_nobody_listens_and_a_process_is_alone(caplog):
    around = Surroundings()
    around.on_progress(Progress("train", 1, 2))
    around.on_message("a line")
    assert not around.stop.asked
    assert around.group.is_writer
    assert around.chunk_timeout is None
    assert caplog.records == []


def test_one_that_is_stopped_does_not_stop_another():
    one, other = Surroundings(), Surroundings()
    one.stop.ask()
    assert (one.stop.asked, other.stop.asked) == (True, False)
    one.group.directory = "here"
    assert other.group.directory is None
