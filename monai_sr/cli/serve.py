"""The command ``monai-sr serve-dicom``: a DICOM node, and what became of what it received."""

import argparse
import datetime
from collections.abc import Callable
from typing import Any


def add_serve_command(commands: Any) -> None:
    """Add the parsers of :data:`SERVE_COMMANDS`."""
    serve = commands.add_parser(
        "serve-dicom", help="receive studies, enlarge them, send the results", allow_abbrev=False
    )
    serve.add_argument("config", help="YAML file of the node; see docs/how-to/dicom-node.md")
    what = serve.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="check the file, ask the destinations")
    what.add_argument("--list", action="store_true", help="list quarantine and unsent results")
    what.add_argument("--retry", metavar="ID", help="work again on what failed: an id, or all")
    what.add_argument("--drop", metavar="ID", help="delete what failed, or a result: an id, or all")


def _serve(arguments: argparse.Namespace) -> None:
    from monai_sr.node.config import read_config

    config = read_config(arguments.config)
    if arguments.check:
        _check(config)
    elif arguments.list:
        _list(config)
    elif arguments.retry is not None:
        from monai_sr.node.quarantine import retry

        names = retry(config.spool, arguments.retry)
        print(f"{len(names)} to be worked on again")
    elif arguments.drop is not None:
        from monai_sr.node.quarantine import drop

        print(f"{len(drop(config.spool, arguments.drop))} deleted")
    else:
        from monai_sr.node.service import Node

        Node(config).run()


def _check(config: Any) -> None:
    from monai_sr.core import OutputError
    from monai_sr.node.service import check

    failed = 0
    for name, problem in check(config):
        print(f"destination {name}: {problem.partition(': ')[2] or 'answers'}")
        failed += bool(problem)
    if failed:
        raise OutputError(
            f"destinations: all must answer, got none from {failed}; check them and the network"
        )


def _list(config: Any) -> None:
    from monai_sr.node.quarantine import list_quarantine
    from monai_sr.node.sender import list_unsent

    for entry in list_quarantine(config.spool):
        objects = f"{entry.objects} object{'s' * (entry.objects != 1)}"
        print(f"{entry.name}\tquarantine since {_time(entry.when)}\t{objects}\t{entry.reason}")
    for result in list_unsent(config.spool):
        said = f"not sent to {', '.join(result.destinations) or 'anybody yet'}"
        print(f"{result.name}\tresult of {_time(result.when)}\t{said}\t{result.why}")


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="seconds")


SERVE_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {"serve-dicom": _serve}
