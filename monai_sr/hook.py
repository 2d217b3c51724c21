"""What the bundles import first, so that the plain ``monai.bundle run`` fails in one clear line.

MONAI ignores a misspelt option and ends a failed run with hundreds of lines. Imported by a bundle's
``imports`` inside that command, this module refuses unknown options with the nearest known one, and
turns errors meant for the user into one line and exit code 2. Imported anywhere else it does
nothing. Set MONAI_SR_TRACEBACK=1 to see tracebacks.

A configuration holds one network, and ``--robust auto`` needs two. So with that the module itself
runs what the command names, as ``monai-sr upscale`` does, and ends the process.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
import warnings
from pathlib import Path
from types import TracebackType

from monai_sr.core.errors import OptionError, user_message
from monai_sr.core.options import UPSCALE, path_options
from monai_sr.core.plain_options import check_plain, check_types
from monai_sr.core.registry import unknown_name
from monai_sr.core.text import print_safely, printable

EXIT_CODE = 2
_AUTO = "auto"  # monai_sr.upscaling's, which takes seconds to import
INTERRUPTED = 130
TRACEBACK_VARIABLE = "MONAI_SR_TRACEBACK"
_OF_SEVERAL = ("system", "dataset_dir", "lr_dir", "validation_dir")  # in training and evaluation
_OF_LOGS = ("meta_file", "logging_file")  # of MONAI, which has obeyed them already
_FLAG = re.compile(r"--[^-]|-[a-zA-Z]")  # -1024 is a value


def is_bundle_command(argv: list[str]) -> bool:
    """Tell whether this process is ``python -m monai.bundle run``."""
    return Path(argv[0]).parts[-3:] == ("monai", "bundle", "__main__.py") and "run" in argv[1:2]


def given_options(argv: list[str]) -> dict[str, str]:
    """Return the ``--name value`` and ``--name=value`` pairs as Fire reads them."""
    options: dict[str, str] = {}
    for position, word in enumerate(argv):
        if word == "--":  # what follows are Fire's own flags
            break
        if _FLAG.match(word):
            name, has_value, value = word.lstrip("-").partition("=")
            if not has_value:
                following = argv[position + 1] if position + 1 < len(argv) else "--"
                # A flag alone is true, as Fire has it.
                value = "True" if following == "--" or _FLAG.match(following) else following
            options[name.replace("-", "_")] = value
    return options


def check_options(argv: list[str]) -> None:
    """Refuse options that neither MONAI nor the configuration knows, and values that it would obey.

    Raises:
        OptionError: naming the option, and of an unknown one the nearest known one.
    """
    from fire.parser import DefaultParseValue
    from monai.bundle import ConfigParser, run
    from monai.bundle.workflows import ConfigWorkflow

    options = given_options(argv)
    if "config_file" not in options:
        return
    UPSCALE.check(options)
    text = options["config_file"]
    files = ast.literal_eval(text) if text.startswith("[") else [text]
    content = ConfigParser.load_config_files(files)
    known = {key.lstrip("+") for key in content} | {"workflow_name"}
    known |= set(inspect.signature(run).parameters)
    known |= set(inspect.signature(ConfigWorkflow).parameters)
    if "system" in options and "train" in Path(files[0]).stem:
        raise OptionError(
            f"--system {options['system']}: training takes a system as a second file, "
            f"--config_file \"['{files[0]}','configs/systems/{options['system']}.yaml']\"; "
            "or use monai-sr train --system"
        )
    for name in options:
        top = name.lstrip("+").replace("::", "#").split("#")[0]
        if top not in known:
            raise unknown_name("option", f"--{top}", (f"--{k}" for k in known if k[0] != "_"))
        value = DefaultParseValue(options[name])
        check_plain({f"--{name}": [options[name], value]})
        if top in path_options():
            _check_path(name, options[name], value, Path(files[0]).stem)
        if "#" in options[name]:
            raise OptionError(
                f"--{name} {options[name]}: '#' begins a comment for this command, which would cut "
                "the value there; rename the path, or use monai-sr upscale"
            )
    if Path(files[0]).stem != "evaluate":  # which reads such text itself
        values = {f"--{name}": DefaultParseValue(value) for name, value in options.items()}
        check_types(values, content, is_training="train" in Path(files[0]).stem)


def _check_path(name: str, text: str, value: object, config: str) -> None:
    """Refuse a path that Fire reads as something else: 2022_02 as 202202, a,b as ('a', 'b')."""
    is_number = isinstance(value, int | float) and str(value) != text
    is_parts = isinstance(value, tuple | set | dict) and not text.startswith("(")
    if is_parts and config != "inference" and name in _OF_SEVERAL:
        return
    if is_number or is_parts:
        found = f"the number {value}" if is_number else "several values"
        raise OptionError(
            f"--{name} {text}: this command reads that as {found}; write ./{text}, or use monai-sr"
        )


def run_auto(argv: list[str]) -> None:
    """Enlarge what the command names, each input by the weights that it needs.

    Raises:
        OptionError: if more than options of the bundle's own ``inference.yaml`` are given.
        SRError: as :func:`monai_sr.upscaling.upscale_each`.
    """
    from fire.parser import DefaultParseValue
    from monai.bundle import ConfigParser

    from monai_sr.upscaling import upscale_each

    told = given_options(argv)
    root = Path(told.pop("bundle_root", "."))
    file, names = told.pop("config_file", None), ("inference.yaml", "inference.json")
    for name in _OF_LOGS:
        told.pop(name, None)
    own = [(root / "configs" / name).resolve() for name in names]
    is_own = file is not None and Path(file).resolve() in own
    content = ConfigParser.load_config_files([str(own[0])]) if is_own else {}
    # Another model would be named twice: by the bundle's folder, too.
    known = content.keys() - {"model"}
    others = [name for name in told if name.replace("::", "#").split("#")[0] not in known]
    if others or not is_own:
        raise OptionError(
            "robust: auto takes options of the bundle's own inference.yaml alone, which "
            f"--config_file and --bundle_root name, got {file if not is_own else others[0]}; use "
            "monai-sr upscale, or say True or False"
        )
    options = {name: DefaultParseValue(value) for name, value in told.items()}
    for name in ("input", "output_dir"):
        options.setdefault(name, content[name])
    source = options.pop("dataset_dir", options.pop("input"))
    upscale_each(root, input=source, **options)


def report(error: BaseException) -> bool:
    """Print the line meant for the user, if the error has one; tell whether it had."""
    message = user_message(error)
    if message is None or os.environ.get(TRACEBACK_VARIABLE):
        return False
    sys.stdout.flush()
    sys.stderr.write(f"monai-sr: error: {printable(message)}\n")
    return True


def _excepthook(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("monai-sr: stopped; finished results are kept\n")
        raise SystemExit(INTERRUPTED)
    if report(error):
        raise SystemExit(EXIT_CODE)
    sys.__excepthook__(kind, error, traceback)


def _activate() -> None:
    print_safely()
    sys.excepthook = _excepthook
    # One per LoadImage(): it concerns a reader that the bundles do not use.
    warnings.filterwarnings("ignore", message=".*nvimgcodec.*")
    try:
        check_options(sys.argv[1:])
    except OptionError as error:
        report(error)
        raise SystemExit(EXIT_CODE) from None
    if given_options(sys.argv[1:]).get("robust") == _AUTO:
        try:
            run_auto(sys.argv[1:])
        except Exception as error:  # MONAI would take it for a failed import
            sys.excepthook(type(error), error, error.__traceback__)
            raise SystemExit(1) from None
        raise SystemExit(0)


if is_bundle_command(sys.argv):
    _activate()
