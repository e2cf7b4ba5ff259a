"""Texts and errors of strangers: read within bounds, and reduced to what may be shown. And the types of JSON.

A value of JSON is `Any` to the type checker: what it holds is checked where it is used, by a schema, a dataclass or an
`isinstance`, and a recursive union of types would demand casts at each of these places and check nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
"""A value of JSON: None, a boolean, a number, a text, a list or an object."""
JsonObject: TypeAlias = Mapping[str, Any]
"""An object of JSON that is only read."""
JsonDict: TypeAlias = dict[str, Any]
"""An object of JSON that is being made."""
