"""Fetch rows of a feature store: this file is run by the interpreter of an environment that has Feast, and not weighin.

    FEAST_PYTHON -I weighin/resolve/in_feast.py REQUEST OUT_FOLDER      in the folder of the feature repository

REQUEST is a JSON file as weighin/resolve/feature_store.py writes it. `rows.parquet` and `facts.json` are left; in the
latter `problem` says why there are no rows. What Feast raised is named by its type alone: its text may hold values.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROW = "weighin row"
CLOSE = 1e-6
"""Relative difference of two floats that are the same value: online stores keep 32 bits."""


def main() -> None:
    """Fetch."""
    request, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    try:
        facts = fetch(request, out)
    except Exception as error:  # noqa: BLE001 - whatever Feast, a store or the repository's own code raises
        facts = {"problem": f"Feast raised {type(error).__name__}"}
    (out / "facts.json").write_text(json.dumps(facts))


def fetch(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write the rows, in the order of the entities; return what is known of them."""
    from feast import FeatureStore  # type: ignore[import-not-found]

    store = FeatureStore(repo_path=".")
    views = {v.name: v for v in [*store.list_feature_views(), *store.list_on_demand_feature_views()]}
    known = {f"{name}:{field.name}": field.dtype for name, view in views.items() for field in view.features}
    absent = [name for name in request["features"] if name not in known]
    if absent:
        return {"problem": f"the feature repository has no {', '.join(absent)}"}
    keys = join_keys(store, [views[name.partition(":")[0]] for name in request["features"]])
    entities = pd.read_parquet(request["entities"])
    missing = [name for name in (*keys, request["timestamp"]) if name not in entities]
    if missing:
        return {"problem": f"the entities have no column {', '.join(missing)}"}
    if request["timestamp"] != "event_timestamp":
        entities = entities.rename(columns={request["timestamp"]: "event_timestamp"})
    short = {name.partition(":")[2]: known[name] for name in request["features"]}
    if len(short) < len(request["features"]) or set(short) & set(entities):
        return {"problem": "two features, or a feature and a column of the entities, have one name"}
    found = historical(store, entities, request["features"])
    if len(found) != len(entities):
        return {"problem": f"{len(found):,} rows for {len(entities):,} entities"}
    found = found[[*entities.columns, *short]].rename(columns={"event_timestamp": request["timestamp"]})
    pq.write_table(typed(pa.Table.from_pandas(found, preserve_index=False), short), out / "rows.parquet")
    proto = store.registry.proto()
    facts = {
        "problem": "",
        "registry": proto.version_id,
        "applied": proto.last_updated.ToDatetime(tzinfo=UTC).isoformat(),
        "features": request["features"],
        "rows": len(found),
    }
    if request["online"]:
        facts["online"] = online(store, entities[keys].drop_duplicates(), request, list(short))
    return facts


def join_keys(store: Any, views: Sequence[Any]) -> list[str]:
    """Return the columns by which entities are found."""
    names = dict.fromkeys(e for view in views for e in getattr(view, "entities", ()))
    return [store.get_entity(name).join_key for name in names if name != "__dummy"]


def historical(store: Any, entities: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Return the values of features at the moments of the entities, in their order."""
    numbered = entities.assign(**{ROW: range(len(entities))})
    found = store.get_historical_features(entity_df=numbered, features=features).to_df()
    return found.sort_values(ROW, ignore_index=True)


def typed(table: pa.Table, kinds: Mapping[str, Any]) -> pa.Table:
    """Return a table with whole numbers where features are: beside missing values pandas makes them floats."""
    from feast.types import Int32, Int64  # type: ignore[import-not-found]

    for number, field in enumerate(table.schema):
        if kinds.get(field.name) in (Int32, Int64) and pa.types.is_floating(field.type):
            table = table.set_column(number, field.name, table[field.name].cast(pa.int64()))
    return table


def online(store: Any, keys: pd.DataFrame, request: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Compare what the online store gives now with the newest values of the offline store, for some entities."""
    some = keys.sample(n=min(request["online"], len(keys)), random_state=0).reset_index(drop=True)
    offline = historical(store, some.assign(event_timestamp=datetime.now(UTC)), request["features"])
    asked = json.loads(some.to_json(orient="records"))
    served = store.get_online_features(features=request["features"], entity_rows=asked).to_df()
    differ = pd.Series(False, index=some.index)
    each = {}
    for name in names:
        other = unlike(offline[name], served[name].reset_index(drop=True))
        each[name] = int(other.sum())
        differ |= other
    return {"entities": len(some), "differ": int(differ.sum()), "features": each}


def unlike(one: pd.Series, other: pd.Series) -> pd.Series:
    """Whether two columns differ, row by row; missing is like missing."""
    neither = one.isna() & other.isna()
    if pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other):
        same = (one - other).abs() <= CLOSE * one.abs().clip(lower=1.0)
    else:
        same = one.astype(str) == other.astype(str)
    return ~(neither | (same & one.notna() & other.notna()))


if __name__ == "__main__":
    main()
