"""The gate on the served model: what is served, how it is asked, and what it must keep to."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from weighin.contract.parts import Count, Graded, Name, Part, Positive, Share

MARKS = ("{{rows}}", "{{lists}}", "{{values}}", "{{tensors}}")
"""One of these stands in a template where the rows go: as objects, as lists, as one flat list, as V2 tensors."""
READY = "/v2/health/ready"
"""Path of the health in the V2 protocol."""
_URL = re.compile(r"https?://[^\s/@]+(/[^\s]*)?$")
_POINTER = re.compile(r"(/([^/~]|~[01])*)*$")
FULL = ("stress", "recovery_seconds_at_most", "memory_growth_mb_at_most", "clean_environment")
"""Limits that only the full profile can measure."""


class Server(Part):
    """What serves the model, what it may use, and how it is spoken to. The default is MLflow's own scoring server."""

    cpus: Positive = Field(default=1.0, description="Processors that the server may use.")
    memory_mb: Count = Field(default=1500, description="Memory that the server may use, in 2**20 bytes.")
    start_seconds: Positive = Field(
        default=90, description="Longest time until the server is healthy; later it has failed to start."
    )
    image: Name | None = Field(
        default=None, description="An image of your own; the candidate's files are mounted at /model."
    )
    command: tuple[str, ...] = Field(
        default=(),
        description="Program and arguments of a server of your own; {model} and {port} are replaced.",
    )
    url: Name | None = Field(
        default=None,
        description="A server that runs already, on a host that WEIGHIN_LOAD_HOSTS lists; not on pull requests.",
    )
    health: Annotated[str, Field(pattern=r"^/")] = Field(
        default="/ping", description="Path of which a GET answers 200 when the server is ready."
    )
    path: Annotated[str, Field(pattern=r"^/")] = Field(
        default="/invocations", description="Path to which requests are sent."
    )
    request: Literal["dataframe_split", "instances", "v2", "template", "chat", "responses"] = Field(
        default="dataframe_split",
        description="Form of the body of a request; `v2` is that of KServe and Triton, a tensor for each column; "
        "`chat` and `responses` are those of a `ChatModel` and a `ResponsesAgent`, one conversation.",
    )
    template: str = Field(
        default="",
        description="JSON text for `request: template`, with {{rows}} (objects), {{lists}}, {{values}} (one flat list) "
        "or {{tensors}} (V2) where the rows go, and {{count}} for their number.",
    )
    predictions: str = Field(
        default="/predictions",
        description="JSON pointer to the predictions in an answer, row by row; `*` in it is each element of a list. "
        "Default for `request: v2`: /outputs.",
    )

    stream: bool = Field(
        default=False,
        description="Ask for each answer of `chat` or `responses` as server-sent events, piece by piece.",
    )

    @model_validator(mode="before")
    @classmethod
    def _v2(cls, values: object) -> object:
        """Take the places of the V2 protocol, unless the contract names others."""
        if not isinstance(values, dict) or values.get("request") != "v2":
            return values
        return {"predictions": "/outputs", "health": READY, **values}

    @model_validator(mode="after")
    def _consistent(self) -> Server:
        if self.url is not None and (self.image is not None or self.command):
            raise ValueError("a server with a `url` runs already: leave out `image` and `command`")
        if self.url is not None and self.url.startswith(("grpc:", "grpcs:")):
            raise ValueError("gRPC is not spoken here: name the server's address for HTTP (Triton's port is 8000)")
        if self.url is not None and not _URL.match(self.url):
            raise ValueError("`url` is http://HOST[:PORT][/PATH], without a user or a password")
        if (self.request == "template") != bool(self.template):
            raise ValueError("`template` belongs to `request: template`, and that needs one")
        if self.template and sum(self.template.count(mark) for mark in MARKS) != 1:
            raise ValueError(f"the template needs one of {', '.join(MARKS)}, once: every request would be the same")
        if self.stream and not self.conversation:
            raise ValueError("`stream` needs `request: chat` or `request: responses`")
        if self.conversation and "predictions" in self.model_fields_set:
            raise ValueError(f"an answer to `request: {self.request}` has its place: leave out `predictions`")
        if self.request == "v2" and "path" not in self.model_fields_set:
            raise ValueError("`request: v2` needs a `path`, such as /v2/models/NAME/infer")
        if not _POINTER.match(self.predictions):
            raise ValueError("`predictions` is a JSON pointer, such as /predictions or /data/0/outputs")
        return self

    @property
    def conversation(self) -> bool:
        """Whether a request is one conversation."""
        return self.request in ("chat", "responses")


class Within(Graded):
    """Share of requests answered correctly in form and within a time."""

    latency_ms: Positive = Field(description="Time until the last byte of a right answer.")
    share_at_least: Share = Field(description="Share of requests that keep the time.")


class Peak(Graded):
    """A higher load, as the busiest minutes bring it, with a limit of its own."""

    rate: Positive = Field(description="Requests per second.")
    seconds: Positive = Field(10, description="Duration of the peak.")
    latency_ms: Positive = Field(description="Time until the last byte of a right answer.")
    share_at_least: Share = Field(description="Share of requests that keep the time.")


class LatencyQuantile(Graded):
    """A quantile of latency under the expected load. A failed request is slower than any limit."""

    quantile: float = Field(gt=0, lt=1, description="Which quantile, such as 0.95.")
    latency_ms_at_most: Positive = Field(description="Largest latency at that quantile.")


class AgainstChampion(Graded):
    """A quantile of the candidate's latency as a multiple of the champion's, served side by side."""

    quantile: float = Field(0.5, gt=0, lt=1, description="Which quantile of the latency.")
    ratio_at_most: Positive = Field(1.2, description="Largest ratio, candidate to champion.")
    first_token_ratio_at_most: Positive | None = Field(
        None, description="Largest ratio of that quantile of the time to the first token, of a server that streams."
    )


class Stress(Graded):
    """A ramp of load, step by step, until fewer than half of the requests keep the time of `within`."""

    rate_at_most: Positive = Field(description="Requests per second of the last step.")
    factor: float = Field(1.5, gt=1, le=10, description="Each step asks for so many times the rate of the one before.")
    seconds: Positive = Field(5, description="Duration of a step.")
    max_sustainable_rate_at_least: Positive = Field(
        description="Least rate that the server must carry within the limit of `within`."
    )


class Load(Part):
    """The gate on the served model: requests by schedule, latency from the intended start."""

    profile: Literal["quick", "full"] = Field(
        "quick", description=f"`full` allows the limits {', '.join(FULL)} as well."
    )
    rate: Positive = Field(description="Requests per second of the expected load.")
    seconds: Positive = Field(description="Duration of the expected load, at each start of the server.")
    arrivals: Literal["poisson", "constant"] = Field(
        "poisson", description="Requests at random moments (a Poisson process), or at equal distances."
    )
    starts: int = Field(2, ge=1, le=20, description="Number of times that the server is started and asked.")
    warm_up_seconds: Positive = Field(3, description="Time at the beginning of each start that is not counted.")
    batch_rows: Count | tuple[Count, ...] = Field(5, description="Rows in one request, or sizes to draw from.")
    timeout_seconds: Positive = Field(10, description="Longest time until an answer; a later one is a failure.")
    stall_seconds: Positive = Field(
        0.5, description="The longest stall that is expected; the sampling unit is a block of this length."
    )
    locustfile: Name | None = Field(
        None, description="A file with Locust users of your own, in place of rows of the holdout."
    )
    server: Server = Field(Server(), description="What serves the model, and how it is asked.")
    within: Within = Field(description="Share of requests answered right within a time.")
    peak: Peak | None = Field(None, description="A higher load with a limit of its own.")
    quantiles: tuple[LatencyQuantile, ...] = Field((), description="Quantiles of the latency with a limit each.")
    first_token: tuple[LatencyQuantile, ...] = Field(
        (),
        description="Quantiles of the time to the first token, the first piece of a text that is not white space; of a "
        "server that streams.",
    )
    throughput_at_least: Positive | None = Field(
        None, description="Least number of right answers per second, during the peak, or the expected load without one."
    )
    error_rate_at_most: Share = Field(description="Share of requests without a right answer.")
    tolerance: FiniteFloat | None = Field(
        None,
        ge=0,
        description="Largest difference between served and offline answer. Default: 1e-9, or eight units in the last "
        "place of the type in which the model answers (9.5e-07 for float32), times the answer where that is above 1.",
    )
    answers_may_differ: bool = Field(
        False,
        description="Served answers of a text task need not be those of the prediction, as of a model that samples.",
    )
    refuses_malformed: bool = Field(
        True, description="Check that malformed requests get a 4xx and leave the server healthy."
    )
    input_example: bool = Field(True, description="Check that the input example of the model is answered.")
    start_up_seconds_at_most: Positive | None = Field(
        None, description="Longest time from the command of the server to its first healthy answer."
    )
    memory_mb_at_most: Count | None = Field(
        None, description="Largest memory of the server; required unless it has a `url`."
    )
    cpu_seconds_at_most: Positive | None = Field(None, description="Most processor time for a thousand predictions.")
    against_champion: AgainstChampion | None = Field(None, description="Latency as a multiple of the champion's.")
    stress: Stress | None = Field(None, description="A ramp of load until the server no longer keeps its limit.")
    recovery_seconds_at_most: Positive | None = Field(
        None, description="Longest time after the stress until the expected load is served within the limit again."
    )
    memory_growth_mb_at_most: FiniteFloat | None = Field(
        None, ge=0, description="Largest growth of the server's memory under the expected load, after the warm-up."
    )
    clean_environment: bool = Field(
        False, description="Serve the model also in an environment of its declared requirements only."
    )
    lateness_ms_at_most: Positive = Field(
        50, description="Latencies are not evaluated where the generator was later than this at p99."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_conversation(cls, values: object) -> object:
        """Ask for one row where a request is a conversation, unless the contract says otherwise."""
        server = values.get("server") if isinstance(values, dict) else None
        asked = server.get("request") if isinstance(server, dict) else None
        return {"batch_rows": 1, **values} if isinstance(values, dict) and asked in ("chat", "responses") else values

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows that a request may have."""
        return self.batch_rows if isinstance(self.batch_rows, tuple) else (self.batch_rows,)

    @property
    def first_token_against_champion(self) -> float | None:
        """Largest ratio of the time to the first token, candidate to champion, where there is one."""
        return self.against_champion.first_token_ratio_at_most if self.against_champion else None

    @model_validator(mode="after")
    def _consistent(self) -> Load:
        problems = []
        if self.profile == "quick":
            given = [name for name in FULL if getattr(self, name)]
            problems += [f"`{name}` needs `profile: full`" for name in given]
        if self.recovery_seconds_at_most is not None and self.stress is None:
            problems.append("`recovery_seconds_at_most` needs `stress`: there is nothing to recover from")
        if not self.sizes:
            problems.append("`batch_rows` lists no size")
        if self.server.conversation and self.sizes != (1,):
            problems.append(f"a request of the form `{self.server.request}` is one conversation: `batch_rows: 1`")
        if not self.server.stream:
            given = ["first_token"] if self.first_token else []
            given += ["against_champion.first_token_ratio_at_most"] if self.first_token_against_champion else []
            problems += [f"`{name}` needs `server: {{stream: true}}`" for name in given]
        if self.server.stream and self.clean_environment:
            problems.append("`clean_environment` is about MLflow's scoring server, which does not stream")
        times = [self.within.latency_ms, *(q.latency_ms_at_most for q in (*self.quantiles, *self.first_token))]
        times += [self.peak.latency_ms] if self.peak else []
        if max(times) >= 1000 * self.timeout_seconds:
            problems.append("`timeout_seconds` must be longer than every limit on a time")
        if self.peak and self.peak.rate <= self.rate:
            problems.append("the peak's `rate` is not above the expected one")
        if self.stress and self.stress.rate_at_most <= self.rate:
            problems.append("the stress's `rate_at_most` is not above the expected rate")
        if self.seconds < 10 * self.stall_seconds:
            problems.append("`seconds` must be at least ten times `stall_seconds`, or there is no interval")
        if self.peak and self.peak.seconds < 10 * self.stall_seconds:
            problems.append("the peak's `seconds` must be at least ten times `stall_seconds`")
        problems += self._where_it_runs()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def unprovable(self, alpha: float) -> list[str]:
        """Limits that no server can be shown to keep in the time planned: with no stall in B blocks a share of
        alpha ** (1 / B) is proven, and no more. Those that may be inconclusive are left out.
        """
        blocks = self.starts * math.floor(self.seconds / self.stall_seconds + 1e-9)
        peak = math.floor(self.peak.seconds / self.stall_seconds + 1e-9) if self.peak else 0
        wanted: list[tuple[str, float, int, Graded | None]] = [
            ("within.share_at_least", self.within.share_at_least, blocks, self.within),
            *((f"quantiles, {q.quantile:g}", q.quantile, blocks, q) for q in self.quantiles),
            *((f"first_token, {q.quantile:g}", q.quantile, blocks, q) for q in self.first_token),
            ("error_rate_at_most", 1 - self.error_rate_at_most, blocks + peak, None),
        ]
        if self.peak:
            wanted.append(("peak.share_at_least", self.peak.share_at_least, peak, self.peak))
        found = []
        for name, share, have, grade in wanted:
            lenient = grade is not None and "warn" in (grade.severity, grade.when_inconclusive)
            if lenient or share <= alpha ** (1 / have) + 1e-12:
                continue
            need = math.ceil(math.log(alpha) / math.log(share)) if share < 1 else None
            remedy = f"{need:,} blocks are needed" if need else "no time is long enough for a share of 1"
            found.append(
                f"`{name}` can never pass: {have} blocks of {self.stall_seconds:g} s prove a share of "
                f"{alpha ** (1 / have):.4f} at best, and {remedy} (`seconds`, `starts`, or `stall_seconds`)"
            )
        return found

    def _where_it_runs(self) -> list[str]:
        own = ("memory_mb_at_most", "start_up_seconds_at_most", "cpu_seconds_at_most", "memory_growth_mb_at_most")
        if self.server.url is not None:
            given = [n for n in (*own, "clean_environment", "against_champion") if getattr(self, n)]
            return [f"`{name}` cannot be measured of a server with a `url`" for name in given]
        if self.memory_mb_at_most is None:
            return ["`memory_mb_at_most` is missing: how much memory the server may take"]
        if self.clean_environment and (self.server.image or self.server.command):
            return ["`clean_environment` is about MLflow's scoring server, not a server of the team's own"]
        return []
