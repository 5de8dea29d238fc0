"""What the commands of the ``qhn2edge`` program do.

Each function takes parsed words and a console for text, and returns the command's JSON document and its exit
code. ``cli.py`` alone knows click.
"""

from qhn2edge.commands.bench import bench
from qhn2edge.commands.boards import boards
from qhn2edge.commands.build import build
from qhn2edge.commands.circuit import circuit
from qhn2edge.commands.demo import demo
from qhn2edge.commands.doctor import doctor
from qhn2edge.commands.estimate import estimate_boards
from qhn2edge.commands.flash import flash
from qhn2edge.commands.importing import import_network
from qhn2edge.commands.models import export, info, predict, random_model
from qhn2edge.commands.run import run
from qhn2edge.commands.study import study
from qhn2edge.commands.train import train
from qhn2edge.commands.verify import verify

__all__ = [
    "bench",
    "boards",
    "build",
    "circuit",
    "demo",
    "doctor",
    "estimate_boards",
    "export",
    "flash",
    "import_network",
    "info",
    "predict",
    "random_model",
    "run",
    "study",
    "train",
    "verify",
]
