"""The logger: nothing at import, one handler when it is needed."""

import logging
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from datajoint.logging import announce, ensure_handler, logger


@contextmanager
def unconfigured():
    """Take away all handlers and levels, those of pytest too.

    A fixture cannot do it, since pytest adds its handlers after the fixtures have run.
    """
    root = logging.getLogger()
    saved = root.handlers, logger.handlers, logger.level
    root.handlers, logger.handlers = [], []
    logger.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        root.handlers, logger.handlers, level = saved
        logger.setLevel(level)


def test_import_installs_nothing():
    script = (
        "import sys, threading, logging\n"
        "hooks = sys.excepthook, threading.excepthook\n"
        "import datajoint.logging\n"
        "assert (sys.excepthook, threading.excepthook) == hooks\n"
        "logger = logging.getLogger('datajoint')\n"
        "print(datajoint.logging.logger is logger, logger.handlers, logger.level,"
        " logger.propagate, logging.getLogger().handlers)\n"
    )
    source = str(Path(sys.modules["datajoint.logging"].__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True [] 0 True []\n"


@unconfigured()
def test_announce(capsys):
    announce("Connected to alice@lab")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]\[INFO\]: Connected to alice@lab\n", err
    )


@unconfigured()
def test_announce_respects_the_level(capsys):
    announce("Connected", level="WARNING")
    logger.warning("Trouble")
    assert capsys.readouterr().err.endswith("[WARNING]: Trouble\n")
    assert logger.level == logging.WARNING


@unconfigured()
def test_one_handler_only(capsys):
    ensure_handler("INFO")
    ensure_handler("DEBUG")
    announce("once")
    assert [type(handler) for handler in logger.handlers] == [logging.StreamHandler]
    assert logger.level == logging.INFO
    assert capsys.readouterr().err.count("once") == 1


@unconfigured()
def test_level_that_was_set_is_kept():
    logger.setLevel(logging.ERROR)
    ensure_handler("DEBUG")
    assert logger.level == logging.ERROR


@unconfigured()
def test_handler_of_the_user_is_enough():
    own = logging.NullHandler()
    logger.addHandler(own)
    ensure_handler("INFO")
    assert logger.handlers == [own]
    assert logger.level == logging.NOTSET


@unconfigured()
def test_configured_root_is_enough():
    logging.getLogger().addHandler(logging.NullHandler())
    ensure_handler("INFO")
    assert logger.handlers == []
    assert logger.level == logging.NOTSET


@unconfigured()
def test_silent_once_root_is_configured(capsys):
    ensure_handler("INFO")
    root = logging.StreamHandler(sys.stdout)
    root.setFormatter(logging.Formatter("root: %(message)s"))
    logging.getLogger().addHandler(root)
    logger.info("later")
    assert capsys.readouterr() == ("root: later\n", "")
