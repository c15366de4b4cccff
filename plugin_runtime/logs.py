"""How an entry point shows the log: one format for our own log events and those of libraries. Libraries only log."""

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import Processor

SAID_BY_THE_TRANSPORT = ("aiormq", "aio_pika")
"""Libraries whose tracebacks of lost connections our transport tells in one line each."""

LogFormat = Literal["auto", "json", "console"]


def configure_logs(log_format: LogFormat = "auto", *, level: str = "info", stream: TextIO | None = None) -> None:
    """Configure structlog and the standard library's logging for this process; calling again replaces that.

    Args:
        log_format: ``console`` for people, ``json`` for one JSON object a line, ``auto`` for console on a terminal.
        level: ``debug``, ``info``, ``warning`` or ``error``: the least that is shown of our own; libraries are shown
            from warning on.
        stream: Where to; standard error when None.
    """
    target = sys.stderr if stream is None else stream
    least = logging.getLevelNamesMapping()[level.upper()]
    is_console = log_format == "console" or (log_format == "auto" and target.isatty())
    structlog.configure(
        processors=[*_shared(), *_rendered(is_console=is_console)],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_shared()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(is_console=is_console)],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(least, logging.WARNING), force=True)
    for name in SAID_BY_THE_TRANSPORT:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendered(*, is_console: bool) -> list[Processor]:
    if is_console:
        return [structlog.dev.ConsoleRenderer()]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
