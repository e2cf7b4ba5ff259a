"""The contract: what must hold before a model may be released. One YAML file, written by the team that owns the model.

`models` is its shape, `reading` turns a file into it with errors that name line and remedy, `checks` lists every check
with its limit.
"""

from weighin.contract.checks import Check, checks
from weighin.contract.models import Contract
from weighin.contract.reading import read_contract

__all__ = ["Check", "Contract", "checks", "read_contract"]
