"""What can be typed after `weighin`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from weighin import __version__

MEASURES = ("psi", "jensen_shannon", "total_variation", "kolmogorov_smirnov")
SUITES = ("data_quality", "performance", "drift", "explainability", "load", "shadow")


class Parser(argparse.ArgumentParser):
    """Usage errors end with 4: argparse's own 2 is pytest's "interrupted"."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        print(f"weighin: {message}. Try `{self.prog} --help`.", file=sys.stderr)
        raise SystemExit(4)


def parser() -> Parser:
    """The whole command line."""
    top = Parser(prog="weighin", description="Decide, with evidence, whether a model version may become champion.")
    top.add_argument("--version", action="version", version=f"weighin {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    validate = commands.add_parser("validate", help="predict, run the suites, print the verdict")
    _contract(validate)
    _subject(validate)
    validate.add_argument("--suite", action="append", choices=SUITES, help="only this one (repeat); never a pass")
    validate.add_argument("--runner", choices=("local", "docker"), default="local", help="where the steps run")
    validate.add_argument("--image", default="weighin:local", help="image of the docker runner")
    validate.add_argument("--out", type=Path, default=Path("reports"), help="folder of the reports")
    validate.add_argument("--train", metavar="COMMAND", help="Python file, with its arguments, that is run first")
    _work(validate)

    resolve = commands.add_parser("resolve", help="fix versions, digests, files and features (a step of validate)")
    _contract(resolve)
    _subject(resolve)
    _work(resolve)
    resolve.add_argument("--as-artifact", action="store_true", help="refuse data that must not become an artifact")

    predict = commands.add_parser("predict", help="load one model and predict (a step, without labels)")
    for name in ("model", "features", "out"):
        predict.add_argument(f"--{name}", type=Path, required=True)
    predict.add_argument("--column", type=int, action="append", help="number of an answer that is the prediction (1)")
    predict.add_argument("--shap", type=int, default=0, metavar="ROWS", help="leave SHAP values of this many rows")

    serve = commands.add_parser("serve", help="serve one model on loopback (a step), or the champion (--follow)")
    serve.add_argument("--model", type=Path)
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--python", type=Path, help="interpreter of another environment (default: this one)")
    serve.add_argument("--follow", action="store_true", help="serve the champion, and at SIGHUP the champion of then")
    serve.add_argument("--host", default="127.0.0.1", help="where to listen, with --follow (%(default)s)")
    serve.add_argument("--pid-file", type=Path, help="where to write the number of the process, with --follow")
    _contract(serve)

    load = commands.add_parser("load", help="send the planned load to a server (a step)")
    load.add_argument("--url", help="the server; not for --worker, whom the master tells")
    load.add_argument("--role", default="candidate", help="whose server this is (%(default)s)")
    load.add_argument("--start", type=int, default=0, help="which start of the server, counted from 0")
    load.add_argument("--step", choices=("load", "shadow"), default="load", help="or the logged requests (%(default)s)")
    load.add_argument("--locustfile", type=Path, help="run the tasks of this file instead of asking for predictions")
    load.add_argument("--turn", type=Path, metavar="FILE", help="when the server is healthy, wait for this file")
    spread = load.add_mutually_exclusive_group()
    spread.add_argument("--master", type=int, metavar="N", help="let N workers run the locustfile, and write the log")
    spread.add_argument("--worker", metavar="HOST", help="run the locustfile for the master on this host")
    load.add_argument("--bind", default="127.0.0.1", metavar="HOST", help="where the master listens (%(default)s)")
    load.add_argument("--port", type=int, default=5557, help="of the master (%(default)s)")
    _work(load)

    judge = commands.add_parser("judge", help="run one suite over what was predicted (a step)")
    judge.add_argument("suite")
    _contract(judge)
    _work(judge)
    judge.add_argument("--out", type=Path, default=Path("reports"))
    judge.add_argument("--own-only", action="store_true", help="only the repository's own tests and metrics")
    judge.add_argument("--own", type=Path, metavar="DIR", help="what --own-only left; default: run that first")

    verdict = commands.add_parser("verdict", help="judge again from the evidence that the suites left")
    _reports(verdict)
    verdict.add_argument("--needs", default="", help="JSON: job -> result, as the workflow reports it")

    verdict.add_argument("--blocked", default="", metavar="WHY", help="there can be no decision, and this is why")
    verdict.add_argument("--base", type=Path, metavar="DIR", help="checkout of the base of a pull request")
    verdict.add_argument("--head", type=Path, metavar="DIR", help="a checkout of it; default: the current folder")
    verdict.add_argument("--reviewed-commit", default="", metavar="SHA", help="of the review by which its files decide")
    verdict.add_argument("--reviewed-by", default="", metavar="LOGINS", help="who made that review")
    verdict.add_argument("--annotate", action="store_true", help="print GitHub's annotations for what blocks and warns")

    comment = commands.add_parser("comment", help="write the comment for a pull request, from a record alone")
    comment.add_argument("record", type=Path, nargs="?", default=Path("reports/record.json"), help="(%(default)s)")
    comment.add_argument("--promotion", type=Path, metavar="FILE", help="tell of a promotion: its promotion.json")
    comment.add_argument("--out", type=Path, default=Path("comment.md"), help="(%(default)s)")

    promote = commands.add_parser("promote", help="move the champion's alias, if everything passed")
    _reports(promote)
    promote.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    _attestation(promote, "attestation of the record, without which nothing is moved")

    rollback = commands.add_parser("rollback", help="make an earlier version champion again")
    _contract(rollback)
    rollback.add_argument("--to", default="", metavar="VERSION", help="default: the one before the champion of now")
    rollback.add_argument("--owner", default="", help="who answers for it")
    rollback.add_argument("--reason", default="", help="why")
    rollback.add_argument("--emergency", action="store_true", help="also to a version that was not gated")
    rollback.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    deploy = commands.add_parser("deploy", help="tell the servers to load the champion, and let them prove it")
    _contract(deploy)
    deploy.add_argument("--check", action="store_true", help="only ask them")

    accept = commands.add_parser("accept", help="copy a version that was promoted elsewhere, and make it champion here")
    accept.add_argument("version", help="models:/NAME/VERSION there")
    accept.add_argument("--source", required=True, metavar="URI", help="the registry there, or `same`")
    accept.add_argument("--trusted-key", type=Path, action="append", default=[], metavar="FILE", help="who signs there")
    accept.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    _contract(accept)

    approve = commands.add_parser("approve", help="sign that a record may be acted on")
    approve.add_argument("record", type=Path, nargs="?", default=Path("reports/record.json"), help="(%(default)s)")
    approve.add_argument("--comment", default="", help="why")

    history = commands.add_parser("history", help="who was champion, since when, by whom, on what evidence")
    _contract(history)
    history.add_argument("--json", action="store_true", help="as JSON")
    history.add_argument(
        "--trusted-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="who must have signed each promotion",
    )
    history.add_argument(
        "--witness",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a record that was kept elsewhere, signed or not: its entry must still be there (repeatable)",
    )
    _identity(history)
    history.add_argument("--restore", action="store_true", help="move aliases back that somebody moved by hand")

    verify = commands.add_parser("verify", help="say whether a record holds; needs no network")
    verify.add_argument("record", type=Path, help="record.json, or record.dsse.json, which is signed")
    verify.add_argument(
        "--trusted-key", type=Path, action="append", default=[], metavar="FILE", help="a public key (repeatable)"
    )
    verify.add_argument("--digest", default="", help="sha256:<hex> of the record, where it is known from elsewhere")
    _attestation(verify, "attestation of the record, a Sigstore bundle")

    provenance = commands.add_parser("provenance", help="verify who built the image that judges; needs no network")
    provenance.add_argument("image", help="NAME@sha256:..., or its digest")
    _attestation(provenance, "attestation of the image's build, a Sigstore bundle")
    _work(provenance)

    predicate = commands.add_parser("predicate", help="judge again, and write what is to be attested of the record")
    _reports(predicate)

    key = commands.add_parser("key", help="make a key to sign records with")
    key.add_argument("file", type=Path, help="where the private key goes; the public one goes to FILE.pub")

    drift = commands.add_parser("drift", help="compare two tables, or the contract's, without a model")
    drift.add_argument("reference", nargs="?", help="files, or a profile that `weighin profile` wrote (.json)")
    drift.add_argument("current", nargs="?", help="files")
    drift.add_argument("--threshold", type=float, help="limit of the distance; default the contract's, or 0.1")
    drift.add_argument("--measure", choices=MEASURES, default="psi", help="the distance (%(default)s)")
    drift.add_argument("--bins", type=int, default=10, help="quantile bins of a number (%(default)s)")
    drift.add_argument("--group", help="rows that share this column's value are not independent")
    drift.add_argument("--columns", help="only these, with commas between; default all but the group")
    drift.add_argument("--alpha", type=float, default=0.05, help="one-sided error of every interval (%(default)s)")
    drift.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb", help="what reads files (%(default)s)")
    drift.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes as JSON")
    drift.add_argument("--report", type=Path, metavar="FILE", help="write them as a page")
    _contract(drift)

    profile = commands.add_parser("profile", help="count the contract's reference once, for later drift checks")
    _contract(profile)
    profile.add_argument("--out", type=Path, metavar="FILE", help="write the profile")
    profile.add_argument("--store", metavar="MODEL", help="store it with models:/NAME/VERSION")

    labels = commands.add_parser("labels", help="append labels that came to the prediction log")
    labels.add_argument("file", type=Path, help="Parquet or CSV: request, label, and row and at where they are known")
    _contract(labels)

    monitor = commands.add_parser("monitor", help="look at the prediction log, and alert, ask to train, or roll back")
    _contract(monitor)
    monitor.add_argument("--out", type=Path, default=Path("reports"), help="folder of monitor.json and monitor.html")
    monitor.add_argument("--every", action="store_true", help="again and again, as often as the contract says")
    monitor.add_argument("--health-port", type=int, metavar="PORT", help="with --every: answer /alive and /ready")
    monitor.add_argument("--textfile", type=Path, metavar="FILE", help="write metrics for Prometheus' node exporter")
    monitor.add_argument("--pushgateway", metavar="URL", help="push them to a Prometheus Pushgateway")
    monitor.add_argument("--pulse-at-most", type=float, metavar="MINUTES", help="only say when the last look was")
    monitor.add_argument("--dry-run", action="store_true", help="look, and neither do nor note anything")

    canary = commands.add_parser("canary", help="look at a canary once: move on, go back, or wait")
    canary.add_argument("--version", required=True, help="of the canary")
    canary.add_argument("--share", type=float, required=True, help="of the traffic that it has now: a step")
    canary.add_argument("--since", required=True, metavar="MOMENT", help="when it got it, ISO 8601; UTC without a zone")
    canary.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    _contract(canary)

    looks = commands.add_parser("looks", help="show the looks at the sealed holdout: taken, left, closed")
    _contract(looks)
    looks.add_argument("--json", action="store_true", help="as JSON")

    contract = commands.add_parser("contract", help="check a contract, or print its JSON Schema")
    contract.add_argument("action", choices=("check", "schema"))
    _contract(contract)
    _work(contract)

    expectations = commands.add_parser("expectations", help="write the Great Expectations suite of the contract")
    _contract(expectations)
    expectations.add_argument("--check", action="store_true", help="fail when the committed suite differs")

    doctor = commands.add_parser("doctor", help="check whether a repository is set up as docs/adopting.md says")
    doctor.add_argument("--repository", default="", metavar="OWNER/REPO", help="ask GitHub about its settings as well")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    _contract(doctor)
    return top


def _contract(command: argparse.ArgumentParser) -> None:
    command.add_argument("--contract", type=Path, default=Path("model_contract.yaml"), help="default: %(default)s")


def _work(command: argparse.ArgumentParser) -> None:
    command.add_argument("--work", type=Path, default=Path(".weighin/work"), help="intermediate files (%(default)s)")


def _subject(command: argparse.ArgumentParser) -> None:
    command.add_argument("--candidate", help="models:/NAME/VERSION, a version, models:/NAME@ALIAS or a folder")
    command.add_argument("--champion", help="the same for the baseline; default the contract's alias")
    command.add_argument(
        "--sealed", action="store_true", help="a release: reserve a look at the sealed holdout and judge on it as well"
    )


def _attestation(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--attestation", type=Path, metavar="BUNDLE", help=what)
    _identity(command)


def _identity(command: argparse.ArgumentParser) -> None:
    command.add_argument("--issuer", default="", metavar="URL", help="who issued the identity that must have signed")
    command.add_argument("--workflow", default="", metavar="ID", help="OWNER/REPO/.github/workflows/FILE.yml@REF")
    command.add_argument("--repository", default="", help="where the workflow ran; default: that of --workflow")
    command.add_argument(
        "--trusted-root",
        type=Path,
        metavar="FILE",
        help="of another Sigstore than the public one, for private repositories",
    )


def _reports(command: argparse.ArgumentParser) -> None:
    command.add_argument("reports", type=Path, nargs="?", default=Path("reports"), help="default: %(default)s")
    command.add_argument("--image", help="the image that judged, for evidence of --runner docker")
    _contract(command)
    _work(command)
