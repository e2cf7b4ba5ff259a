"""Run the example's DAG in Airflow, with a `weighin` that ends with given codes; by the interpreter of its environment.

python airflow_runs.py CODE...      prints a JSON object: what is wrong with the DAGs, and the states for each code
"""

import json
import os
import sys


def main() -> None:
    """Run it."""
    from airflow.models.dagbag import DagBag  # type: ignore[import-not-found]

    bag = DagBag()
    dag = bag.dags["weighin_release"]
    states = {}
    for code in sys.argv[1:]:
        os.environ["CODE"] = code
        run = dag.test(run_conf={"version": "12"})
        states[code] = {t.task_id: str(t.state) for t in run.get_task_instances()}
    try:
        dag.test(run_conf={"version": "12; true"})
        refused = ""
    except Exception as error:  # noqa: BLE001 - which one is what the test asks for
        refused = type(error).__name__
    print("\n" + json.dumps({"errors": dict(bag.import_errors), "states": states, "refused": refused}))


if __name__ == "__main__":
    main()
