"""The command ``monai-sr``: upscale files and train by the name of a bundle, from anywhere."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from monai_sr.cli.export import EXPORT_COMMANDS, add_export_command
from monai_sr.cli.options import add_command, plain_flags
from monai_sr.cli.reports import REPORT_COMMANDS, add_report_commands
from monai_sr.cli.serve import SERVE_COMMANDS, add_serve_command
from monai_sr.cli.view import VIEW_COMMANDS, add_view_command
from monai_sr.core import (
    DEFAULT,
    EVALUATE,
    TRAIN,
    UPSCALE,
    Model,
    OptionError,
    check_plain,
    find_config,
    find_model,
    list_bundles,
    log_to_stdout,
    print_safely,
    printable,
    unknown_name,
)
from monai_sr.core.version import __version__

if TYPE_CHECKING:
    from monai_sr.upscaling import SRWorkflow

_EXIT_CODE = 2
_DESCRIPTION = "Single-image super-resolution of DICOM, NIfTI, GeoTIFF and plain images."


class _Parser(argparse.ArgumentParser):
    """Answers a wrong call in one line, as every other error."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Take True and False after a flag, as the command of MONAI wants them."""
        flags = {
            name
            for action in self._actions
            if action.nargs == 0
            and (action.const is True or isinstance(action, argparse.BooleanOptionalAction))
            for name in action.option_strings
        }
        choices = {
            name
            for action in self._actions
            if action.nargs == "?" and action.const is True
            for name in action.option_strings
        }
        words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(plain_flags(words, flags, choices), namespace)

    def error(self, message: str) -> NoReturn:
        """End the process."""
        self.exit(_EXIT_CODE, f"monai-sr: error: {printable(message)}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="monai-sr", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"monai-sr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (UPSCALE, TRAIN, EVALUATE):
        add_command(commands, command)
    add_report_commands(commands)
    add_serve_command(commands)
    add_export_command(commands)
    add_view_command(commands)
    commands.add_parser("bundles", help="list the installed bundles")
    models = commands.add_parser(
        "models", help="list the models: size, speed, figures, license", allow_abbrev=False
    )
    models.add_argument("--json", action="store_true", help="as JSON, with all figures")
    commands.add_parser("systems", help="list the systems: parameters, scales, receptive field")
    return parser


def _flags(parser: argparse.ArgumentParser, command: str) -> Iterator[str]:
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for action in commands.choices[command]._actions:
        yield from (word for word in action.option_strings if word.startswith("--"))


def _unknown(word: str, arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """Say what is wrong with a word that belongs to nothing."""
    if arguments.command == UPSCALE.name and not word.startswith("-"):
        return f"argument {word!r} is unknown; name inputs side by side, upscale A B -o OUT"
    kind = "option" if word.startswith("-") else "argument"
    return str(unknown_name(kind, word, _flags(parser, arguments.command)))


def _named(arguments: argparse.Namespace) -> Model | None:
    """Return the model that was named; None where the bundle is chosen by each input."""
    if arguments.model is not None:
        return find_model(arguments.model, arguments.bundle)
    return None if arguments.bundle is None else find_model(arguments.bundle)


def _upscale(arguments: argparse.Namespace) -> None:
    from monai_sr.core import import_monai_light

    _check_one(arguments)
    UPSCALE.check(vars(arguments))
    model = _named(arguments)
    # A bundle of somebody else may need any part of MONAI.
    is_ours = model is None or model.bundle in list_bundles().values()
    if is_ours:
        import_monai_light()
    given = {"system": arguments.system, **UPSCALE.entries(vars(arguments))}
    options = given if model is None else model.with_given(given)
    if arguments.cluster is not None:
        from monai_sr.cli.cluster import upscale_on_cluster
        from monai_sr.upscaling import only_bundle

        bundle = only_bundle(**options) if model is None else model.bundle
        upscale_on_cluster(bundle, arguments.cluster, arguments.workers, **options)
        return
    if arguments.workers is not None:
        raise OptionError("workers: belong to a cluster; add --cluster local")
    if arguments.bids:
        from monai_sr.cli.catalogs import upscale_data_set

        upscale_data_set(arguments, None if model is None else model.bundle, options)
        return
    for name in ("participant_label", "bids_suffix"):
        if getattr(arguments, name) is not None:
            raise OptionError(f"{name}: belongs to a BIDS data set; add --bids")
    if arguments.skip_done:
        options["dataset#skip_done"] = True
    if _names_item(arguments):
        from monai_sr.cli.catalogs import upscale_stac_item

        upscale_stac_item(arguments, None if model is None else model.bundle, options)
        return
    from monai_sr.upscaling import SRWorkflow, upscale_each

    if model is None or is_ours or SRWorkflow(model.bundle, **options).has_file_dataset():
        upscale_each(None if model is None else model.bundle, **options)
    else:
        _run(SRWorkflow(model.bundle, **options))


def _check_one(arguments: argparse.Namespace) -> None:
    """Refuse several inputs where one data set or item is meant."""
    if isinstance(arguments.input, list) and (arguments.bids or arguments.assets is not None):
        raise OptionError(
            f"input: must be one with --bids or --assets, got {len(arguments.input)}; name one"
        )


def _names_item(arguments: argparse.Namespace) -> bool:
    if arguments.assets is not None:
        return True
    if ".json" not in str(arguments.input).lower() and ".geojson" not in str(arguments.input):
        return False
    from monai_sr.catalogs import names_item

    return names_item(arguments.input)


def _train(arguments: argparse.Namespace) -> None:
    from monai_sr.upscaling import SRWorkflow

    TRAIN.check(vars(arguments))
    model = _named(arguments) or find_model(DEFAULT)
    untrained = [key for key in model.options if key not in ("size", "system")]
    if untrained:
        raise OptionError(
            f"model: must be trained from its start, got {model.name}; name {model.bundle.name} "
            "alone, with --stages 2 for a GAN or --degradation robust, or see docs/how-to/train.md"
        )
    config = "train" if arguments.stages == 1 else "train_gan"
    how = arguments.degradation
    overlays = [find_config("degradations", how)] if how else []
    options = model.with_given({"system": arguments.system, **TRAIN.entries(vars(arguments))})
    _run(SRWorkflow(model.bundle, config, overlays=overlays, **options))


def _evaluate(arguments: argparse.Namespace) -> None:
    from monai_sr.upscaling import SRWorkflow

    EVALUATE.check(vars(arguments))
    names = arguments.model or arguments.system
    of_bundles = [name for name in names or () if ":" in name or name in list_bundles()]
    first = find_model(of_bundles[0]).bundle if of_bundles else DEFAULT
    options = {"system": names, **EVALUATE.entries(vars(arguments))}
    _run(SRWorkflow(arguments.bundle or first, "evaluate", **options))


def _run(workflow: SRWorkflow) -> None:
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _systems(_: argparse.Namespace) -> None:
    from monai_sr.cli.models import describe_systems

    print(describe_systems())


def _models(arguments: argparse.Namespace) -> None:
    from monai_sr.cli.models import describe_models, models_json

    print(models_json() if arguments.json else describe_models())


def _bundles(_: argparse.Namespace) -> None:
    for name, folder in list_bundles().items():
        print(f"{printable(name)}\t{printable(folder)}")


_RUN: dict[str, Callable[[argparse.Namespace], None]] = {
    "upscale": _upscale,
    "train": _train,
    "evaluate": _evaluate,
    "bundles": _bundles,
    "models": _models,
    "systems": _systems,
    **REPORT_COMMANDS,
    **SERVE_COMMANDS,
    **EXPORT_COMMANDS,
    **VIEW_COMMANDS,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 2 for anything a user can mend."""
    print_safely()
    parser = _parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        message = printable(_unknown(unknown[0], arguments, parser))
        sys.stderr.write(f"monai-sr: error: {message}\n")
        return _EXIT_CODE
    if getattr(arguments, "linked_files", None):
        os.environ["MONAI_SR_LINKED_FILES"] = arguments.linked_files  # reaches workers, too
    # Heavy imports come after the arguments are known to be right.
    import warnings

    warnings.filterwarnings("ignore", message=".*parsing config_file.*")
    warnings.filterwarnings("ignore", message=".*nvimgcodec.*")
    from monai_sr import hook

    try:
        check_plain(vars(arguments))
        with log_to_stdout():
            _RUN[arguments.command](arguments)
    except KeyboardInterrupt:
        sys.stderr.write("monai-sr: stopped; finished results are kept\n")
        return hook.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not hook.report(error):
            raise
        return _EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
