"""Which sections a document has, in which order, and what SR 11-7 and Annex IV of the EU AI Act call them.

SR 11-7 is the Supervisory Guidance on Model Risk Management (Board of Governors of the Federal Reserve System and OCC,
2011); Annex IV is that of Regulation (EU) 2024/1689.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from weighin.document import findings, governance
from weighin.document import purpose as stated
from weighin.document.blocks import Block, NotKnown, Section
from weighin.document.material import Material

Writer = Callable[[Material], Iterator[Block]]
SECTIONS: tuple[tuple[str, str, tuple[str, ...], Writer], ...] = (
    (
        "purpose",
        "Purpose",
        (
            "SR 11-7, IV: Model Development, Implementation, and Use",
            "Annex IV, 1: general description, intended purpose",
        ),
        stated.purpose,
    ),
    (
        "data",
        "Data",
        ("SR 11-7, IV: data and other information used to develop a model", "Annex IV, 2(d): data requirements"),
        stated.data,
    ),
    (
        "performance",
        "Performance",
        ("SR 11-7, V: Outcomes Analysis", "Annex IV, 2(g): validation and testing; 4: performance metrics"),
        findings.performance,
    ),
    (
        "fairness",
        "Fairness",
        (
            "SR 11-7, V: Outcomes Analysis",
            "Annex IV, 2(g): potentially discriminatory impacts; 3: accuracy for specific persons or groups",
        ),
        findings.fairness,
    ),
    (
        "robustness",
        "Robustness",
        (
            "SR 11-7, V: Evaluation of Conceptual Soundness, sensitivity and stress tests",
            "Annex IV, 2(g): robustness; 2(h): cybersecurity",
        ),
        findings.robustness,
    ),
    (
        "explainability",
        "Explainability",
        (
            "SR 11-7, V: Evaluation of Conceptual Soundness",
            "Annex IV, 2(b): general logic and key design choices; 2(e): interpretation of outputs",
        ),
        findings.explainability,
    ),
    (
        "limits",
        "Limits of use",
        (
            "SR 11-7, III and IV: model uncertainty and limitations",
            "Annex IV, 3: capabilities and limitations in performance",
        ),
        stated.limits,
    ),
    (
        "challenge",
        "Champion and effective challenge",
        ("SR 11-7, III: effective challenge; V: benchmarking", "Annex IV, 2(g): validation and testing procedures"),
        findings.challenge,
    ),
    (
        "monitoring",
        "Monitoring plan",
        ("SR 11-7, V: Ongoing Monitoring", "Annex IV, 9: post-market monitoring plan"),
        governance.monitoring,
    ),
    (
        "approvals",
        "Approvals",
        ("SR 11-7, VI: Governance, Policies, and Controls", "Annex IV, 2(g): test reports dated and signed"),
        governance.approvals,
    ),
    (
        "history",
        "History",
        ("SR 11-7, VI: Model Inventory and Documentation", "Annex IV, 6: changes through the lifecycle"),
        governance.history,
    ),
    ("evidence", "Evidence", ("SR 11-7, VI: Documentation", "Annex IV, 2(g): test logs"), governance.evidence),
)
"""Key, title, names in SR 11-7 and Annex IV, and what writes it."""
ELSEWHERE = (
    NotKnown("how people oversee the model in use (Annex IV, 2(e) and 3)", "people write it beside this document"),
    NotKnown("the risk management system (Annex IV, 5)", "people write it beside this document"),
    NotKnown("which harmonised standards apply (Annex IV, 7)", "people write it beside this document"),
    NotKnown("the EU declaration of conformity (Annex IV, 8)", "the provider signs it"),
)
"""What both demand and no record of a validation can hold."""


def sections(of: Material) -> tuple[Section, ...]:
    """Return every section of the validation report; the last gathers what no other one speaks of."""
    found = tuple(Section(key, title, names, tuple(write(of))) for key, title, names, write in SECTIONS)
    names = ("SR 11-7, VI: Documentation", "Annex IV, 2(e), 5, 7 and 8")
    return (*found, Section("elsewhere", "What stands elsewhere", names, ELSEWHERE))
