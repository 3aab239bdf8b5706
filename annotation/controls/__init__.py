"""The controls that a label configuration may ask with. Each module of this package is one control.

A control is found here by being here: its class, `templates/annotation/controls/<type>.html` and
`flywheel/static/js/controls/<type>.js` are all that a new one needs.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from annotation.controls.base import CLASSES, ConfigError, Control, Option, ResultError

for _module in sorted(iter_modules(__path__), key=lambda module: module.name):
    import_module(f"{__name__}.{_module.name}")

CONTROLS: dict[str, type[Control]] = {control.tag: control for control in CLASSES}
"""Control classes by their tag."""

BY_TYPE: dict[str, type[Control]] = {control.type: control for control in CONTROLS.values()}
"""Control classes by the `type` of their results."""

__all__ = ["BY_TYPE", "CONTROLS", "ConfigError", "Control", "Option", "ResultError"]
