"""The parser of a command, and the arguments that several commands share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose usage errors end with 4: argparse's own 2 is pytest's "interrupted"."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong in one line, and exit."""
        print(f"weighin: {message}. Try `{self.prog} --help`.", file=sys.stderr)
        raise SystemExit(4)


def example(command: argparse.ArgumentParser, *lines: str) -> None:
    """Show command lines at the end of a command's help."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = "\n".join(["example:", *(f"  {line}" for line in lines)])


def contract_argument(command: argparse.ArgumentParser) -> None:
    """Add `--contract`."""
    command.add_argument(
        "--contract", type=Path, default=Path("model_contract.yaml"), help="the contract (%(default)s)"
    )


def work_argument(command: argparse.ArgumentParser) -> None:
    """Add `--work`."""
    command.add_argument("--work", type=Path, default=Path(".weighin/work"), help="intermediate files (%(default)s)")


def subject_arguments(command: argparse.ArgumentParser) -> None:
    """Add what names the models that are judged."""
    command.add_argument("--candidate", help="models:/NAME/VERSION, a version, models:/NAME@ALIAS or a folder")
    command.add_argument("--champion", help="the same for the baseline; default the contract's alias")
    command.add_argument("--sealed", action="store_true", help="reserve a use of the sealed holdout, for a release")


def as_artifact_argument(command: argparse.ArgumentParser) -> None:
    """Add `--as-artifact`."""
    command.add_argument("--as-artifact", action="store_true", help="refuse data that must not become an artifact")


def reports_arguments(command: argparse.ArgumentParser) -> None:
    """Add what names the evidence of a validation."""
    command.add_argument(
        "reports", type=Path, nargs="?", default=Path("reports"), help="folder of the reports (%(default)s)"
    )
    command.add_argument("--image", help="the image that judged, for evidence of --runner docker")
    contract_argument(command)
    work_argument(command)


def attestation_arguments(command: argparse.ArgumentParser, what: str) -> None:
    """Add a Sigstore bundle, and who must have signed it."""
    command.add_argument("--attestation", type=Path, metavar="BUNDLE", help=what)
    identity_arguments(command)


def identity_arguments(command: argparse.ArgumentParser) -> None:
    """Add the identity of a workflow."""
    command.add_argument("--issuer", default="", metavar="URL", help="who issued the identity that must have signed")
    command.add_argument("--workflow", default="", metavar="ID", help="OWNER/REPO/.github/workflows/FILE.yml@REF")
    command.add_argument("--repository", default="", help="where the workflow ran; default: that of --workflow")
    command.add_argument("--trusted-root", type=Path, metavar="FILE", help="of a Sigstore other than the public one")


def trusted_key_argument(command: argparse.ArgumentParser, what: str) -> None:
    """Add `--trusted-key`, which may be repeated."""
    command.add_argument("--trusted-key", type=Path, action="append", default=[], metavar="FILE", help=what)


def dry_run_argument(command: argparse.ArgumentParser) -> None:
    """Add `--dry-run`."""
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
