"""The package's logger.

Nothing is installed at import: neither handlers nor hooks. An application that configures
:mod:`logging` gets the records through the usual propagation; for everyone else the connection
calls :func:`announce` once, which gives the logger a handler of its own.
"""

from __future__ import annotations

import logging

__all__ = ["announce", "ensure_handler", "logger"]

FORMAT = "[%(asctime)s][%(levelname)s]: %(message)s"

logger = logging.getLogger("datajoint")


def ensure_handler(level: str = "INFO") -> None:
    """Make log records visible on standard error unless logging has been configured already.

    Does nothing if this logger or the root logger has a handler. The added handler falls silent
    when the application gives the root logger one later, so that no line shows twice.

    Parameters
    ----------
    level : str
        Level of the logger, normally ``config['loglevel']``. A level that the logger already has
        (set by the user or through the configuration) is kept.
    """
    if logger.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(lambda record: not logging.getLogger().handlers)
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(level)


def announce(message: str, level: str = "INFO") -> None:
    """Log a message for the user at level INFO, making sure that it has somewhere to appear.

    Parameters
    ----------
    message : str
        The line to show.
    level : str
        Passed on to :func:`ensure_handler`.
    """
    ensure_handler(level)
    logger.info(message)
