"""An application of MONAI Deploy: enlarges the DICOM series of a folder.

``python -m monai_sr.integrations.deploy_app --input STUDY --output RESULTS``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_sr.core import PathLike
from monai_sr.integrations.deploy import INPUT, SuperResolutionOperator

# After the line above, which says what is missing where the SDK is.
from monai.deploy.conditions import CountCondition  # isort: skip
from monai.deploy.core import Application  # isort: skip
from monai.deploy.operators.dicom_data_loader_operator import (  # isort: skip
    DICOMDataLoaderOperator,
)
from monai.deploy.operators.dicom_series_selector_operator import (  # isort: skip
    DICOMSeriesSelectorOperator,
)

_STUDIES = "dicom_study_list"


class SuperResolutionApp(Application):  # type: ignore[misc]  # no types without the SDK
    """Loader, series selector and :class:`.SuperResolutionOperator`, one after another.

    Input and output folder are those of the SDK: ``--input`` and ``--output``, or the variables
    HOLOSCAN_INPUT_PATH and HOLOSCAN_OUTPUT_PATH.

    Args:
        model: of the operator.
        rules: which series are selected, in the JSON of ``DICOMSeriesSelectorOperator``; empty:
            all. Every series that matches is enlarged.
        options: of the operator.
        **kwargs: of the application.
    """

    def __init__(
        self,
        *args: Any,
        model: PathLike | None = None,
        rules: str = "",
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._model, self._rules, self._options = model, rules, options
        super().__init__(*args, **kwargs)

    def compose(self) -> None:
        """Build the operators and connect them."""
        context = Application.init_app_context(self.argv)
        loader = DICOMDataLoaderOperator(
            self, CountCondition(self, 1), input_folder=Path(context.input_path), name="loader"
        )
        selector = DICOMSeriesSelectorOperator(
            self, rules=self._rules, all_matched=True, name="selector"
        )
        enlarge = SuperResolutionOperator(
            self,
            output_folder=Path(context.output_path),
            model=self._model,
            options=self._options,
            name="enlarge",
        )
        self.add_flow(loader, selector, {(_STUDIES, _STUDIES)})
        self.add_flow(selector, enlarge, {(INPUT, INPUT)})


if __name__ == "__main__":
    SuperResolutionApp().run()
