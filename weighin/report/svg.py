"""Markup of the plots: macros of templates/plots.svg.j2, in which every text is escaped."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from weighin.untrusted import JsonValue


def drawn(name: str, **values: JsonValue) -> Markup:
    """Return what a macro makes of values. Numbers are formatted there; a name that is missing is an error."""
    made: Markup = getattr(_macros(), name)(**values)
    return made


@functools.cache
def _macros() -> Any:
    environment = Environment(
        loader=PackageLoader("weighin.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["px"] = lambda value: f"{value:.1f}"
    return environment.get_template("plots.svg.j2").module
