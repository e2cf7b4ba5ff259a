"""A feature repository of Feast with file store and online store; by the interpreter of Feast's environment.

python feature_repository.py FOLDER             makes it, applied and materialized
python feature_repository.py FOLDER ENTITY      gives one entity another value online
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

ENTITIES = 300
MOMENT = datetime(2026, 1, 3, 12, tzinfo=UTC)
YAML = """\
project: drivers
registry: registry.db
provider: local
offline_store: {type: file}
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""


def stats() -> pd.DataFrame:
    """What is known of each driver every half day, from one number on: `trips` is 10 times the day."""
    days = [MOMENT + timedelta(days=number / 2) for number in range(-4, 3)]
    rows = [(driver, day) for driver in range(ENTITIES) for day in days]
    found = pd.DataFrame(rows, columns=["driver_id", "event_timestamp"])
    found["trips"] = np.tile(np.arange(7) * 10, ENTITIES)
    found["rate"] = found["driver_id"] / 1000 + found["trips"]
    return found


def main() -> None:
    """Make it, or change it."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource  # type: ignore[import-not-found]
    from feast.types import Float64, Int64  # type: ignore[import-not-found]

    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        other = stats().drop_duplicates("driver_id", keep="last").assign(event_timestamp=datetime.now(UTC), trips=7)
        FeatureStore(repo_path=str(folder)).write_to_online_store("stats", other)
        return
    (folder / "feature_store.yaml").write_text(YAML)
    stats().to_parquet(folder / "stats.parquet")
    driver = Entity(name="driver", join_keys=["driver_id"])
    source = FileSource(name="source", path=str(folder / "stats.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name="trips", dtype=Int64), Field(name="rate", dtype=Float64)]
    view = FeatureView(name="stats", entities=[driver], ttl=timedelta(days=3650), schema=schema, source=source)
    store = FeatureStore(repo_path=str(folder))
    store.apply([driver, view])
    store.materialize(MOMENT - timedelta(days=9), MOMENT + timedelta(days=9))


if __name__ == "__main__":
    main()
