"""A DAG for Airflow 3 that judges a registered version, and releases it where every suite passed.

Copy it into the folder of DAGs, and name the repository in CHECKOUT. The workers need weighin, and the addresses and
credentials of docs/reference/registries.md in their environment. Give `promote` a queue of workers of its own: whoever
judges a model may only read.
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

CHECKOUT = "/opt/models/flight-delay"
INCONCLUSIVE = 6

with DAG(
    "weighin_release",
    description="validate a version of flight-delay, and promote it",
    schedule=None,  # a training DAG triggers it with the version that it registered
    max_active_runs=1,
    params={"version": Param(type="string", pattern="^[0-9]{1,9}$", description="version of the registered model")},
    # No second try: a gate that is asked until it passes is no gate. A run that was cut off is cleared by a person.
    default_args={"retries": 0},
    tags=["weigh-in"],
) as dag:
    # Templates go into variables, never into the command: what somebody triggers a run with is no code.
    about = {"VERSION": "{{ params.version }}", "RUN": "{{ run_id }}", "CHECKOUT": CHECKOUT}
    validate = BashOperator(
        task_id="validate",
        bash_command='cd "$CHECKOUT" && weighin validate --resume --candidate "$VERSION"'
        ' --work "runs/$VERSION/work" --out "runs/$VERSION/reports"',
        env=about,
        append_env=True,
        # Neither released nor failed: this and what follows is skipped, and the reports say how many rows it takes.
        skip_on_exit_code=INCONCLUSIVE,
    )
    promote = BashOperator(
        task_id="promote",
        bash_command='cd "$CHECKOUT" && weighin promote "runs/$VERSION/reports" --work "runs/$VERSION/work"',
        env={**about, "WEIGHIN_ACTOR": "{{ run_id }}"},
        append_env=True,
    )
    validate >> promote
