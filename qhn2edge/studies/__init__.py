"""The experiments of arXiv:2301.08292, and of methods to compare with, each one command."""

from qhn2edge.studies.folder import StudyFolder
from qhn2edge.studies.registry import STUDIES, find_study
from qhn2edge.studies.runner import findings_json, run_study
from qhn2edge.studies.study import Outcome, Study, StudySettings

__all__ = [
    "STUDIES",
    "Outcome",
    "Study",
    "StudyFolder",
    "StudySettings",
    "find_study",
    "findings_json",
    "run_study",
]
