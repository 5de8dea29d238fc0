from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import models

from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ModelFileError, QhnError, StorageError
from qhn2edge.layers import Dense, Identity, Relu, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.modelfile import from_bytes, read, to_content, to_text, write
from qhn2edge.storage import canonical_json, digest_json

LAW = settings(deadline=None, max_examples=60)
Document = dict[str, Any]


def sample() -> Model:
    """Return a model that uses every field and every kind of activation but sign."""
    rng = np.random.default_rng(7)

    def bits(n_out: int, n_in: int) -> Any:  # noqa: ANN401
        return rng.integers(0, 2, size=(n_out, n_in)).astype(np.uint8)

    layers = (
        Dense(bits(2, 35), np.array([3, -40_000]), (-3, 1), Relu(2, 8)),
        Dense(bits(2, 2), np.array([0, 1]), (-1, 1), Table(-3, (0, 5, 127, 9), "sigmoid")),
        Dense(bits(3, 2), np.array([1, -1, 2]), (0, 1), Identity()),
    )
    names = tuple(f"pixel {i}" for i in range(35))
    provenance = {
        "seed": 3,
        "cost": 0.25,
        "tools": {"numpy": "2.1"},
        "notes": ["ä", None, True, -0.5, "\u2028"],
    }
    source = Input(35, Encoder.uint8_unit(), names)
    return Model("digits-3-7", source, layers, Head("argmax", ("3", "7", "none"), 0.1), provenance)


MODEL = sample()
TEXT = to_text(MODEL)
CONTENT = TEXT.encode()


def document() -> Document:
    """Return the sample's document, free to be edited."""
    found: Document = json.loads(TEXT)
    return found


def signed(edited: Document) -> bytes:
    """Return a document's bytes with the digest that fits them."""
    covered = {key: value for key, value in edited.items() if key not in {"format", "digest"}}
    return json.dumps({**edited, "digest": digest_json(covered)}).encode()


def refusal(content: bytes) -> str:
    """Return the message with which bytes are refused."""
    with pytest.raises(ModelFileError) as raised:
        from_bytes(content, "m.json")
    return str(raised.value)


def check_refused_or_equal(content: bytes) -> bool:
    """Return whether bytes are accepted; they must be, if at all, as the sample and nothing else."""
    try:
        found = from_bytes(content, "m.json")
    except ModelFileError as error:
        message = str(error)
        assert message.startswith("model file m.json: ")
        assert message.isprintable()
        assert len(message) < 1000
        return False
    assert canonical_json(to_content(found)) == canonical_json(to_content(MODEL))
    return True


class TestRoundTrip:
    @LAW
    @given(models())
    def test_random_models(self, model: Model) -> None:
        """Reading undoes writing, field by field and bit by bit, and writing again gives the same bytes."""
        text = to_text(model)
        back = from_bytes(text.encode())
        assert back == model
        assert (back.name, back.input, back.head, back.provenance) == (
            model.name,
            model.input,
            model.head,
            model.provenance,
        )
        for got, layer in zip(back.dense_layers, model.dense_layers, strict=True):
            np.testing.assert_array_equal(got.weights_bin, layer.weights_bin)
            np.testing.assert_array_equal(got.bias, layer.bias)
            assert (got.levels, got.activation) == (layer.levels, layer.activation)
        assert to_text(back) == text
        assert text.isascii()

    @LAW
    @given(
        st.floats(min_value=5e-324, allow_infinity=False),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
        st.dictionaries(
            st.text(), st.one_of(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers())
        ),
    )
    def test_any_number_and_text(
        self, scale: float, offset: float, label: str, provenance: dict[str, Any]
    ) -> None:
        """Every finite float64, however small, and every text survive exactly."""
        layer = Dense(np.array([[1]]), np.array([0]), (-1, 1), Identity())
        source = Input(1, Encoder("int8", (scale,), (offset,), 1), (label,))
        model = Model("m", source, (layer,), Head("threshold", (label, label + "'"), scale), provenance)
        back = from_bytes(to_text(model).encode())
        assert (back.input, back.head, back.provenance) == (model.input, model.head, model.provenance)

    @LAW
    @given(models(), st.randoms(use_true_random=False))
    def test_equal_models_give_equal_text(self, model: Model, rng: random.Random) -> None:
        """A document with its keys in any order and any white space is read as the same model."""

        def shuffled(value: Any) -> Any:  # noqa: ANN401
            if isinstance(value, dict):
                keys = rng.sample(sorted(value), len(value))
                return {key: shuffled(value[key]) for key in keys}
            return [shuffled(item) for item in value] if isinstance(value, list) else value

        text = json.dumps(
            shuffled(json.loads(to_text(model))), indent=rng.choice((None, 0, 3)), ensure_ascii=False
        )
        back = from_bytes(text.encode())
        assert back == model
        assert to_text(back) == to_text(model)

    def test_files(self, tmp_path: Path) -> None:
        """The file holds exactly the text, and write returns its path."""
        path = write(MODEL, tmp_path / "m.json")
        assert path.read_bytes() == CONTENT
        assert read(path) == MODEL

    def test_layout_by_hand(self) -> None:
        """The document is what the format's description says."""
        layer = Dense(np.array([[1, 0, 1]]), np.array([255]), (-1, 1), Identity())
        model = Model("m", Input(3, Encoder.bits()), (layer,), Head("threshold", ("a", "b")), {"seed": 1})
        expected = {
            "version": 1,
            "name": "m",
            "input": {
                "n_features": 3,
                "encoder": {"kind": "bit", "scale": [1.0], "offset": [0.5], "unit": 1},
                "feature_names": [],
            },
            "layers": [
                {
                    "n_in": 3,
                    "n_out": 1,
                    "levels": [-1, 1],
                    "weights": ["00000005"],
                    "bias": [255],
                    "activation": {"kind": "identity"},
                }
            ],
            "head": {"kind": "threshold", "classes": ["a", "b"], "logit_scale": 1.0},
            "provenance": {"seed": 1},
        }
        found = json.loads(to_text(model))
        assert found.pop("format") == "qhn2edge-model"
        assert found.pop("digest") == digest_json(expected)
        assert found == expected

    def test_the_digest_of_version_1_does_not_change(self) -> None:
        """Files of version 1 stay readable: this one's digest was computed when the format was fixed."""
        layer = Dense(np.array([[1, 0, 1]]), np.array([255]), (-1, 1), Identity())
        model = Model("m", Input(3, Encoder.bits()), (layer,), Head("threshold", ("a", "b")), {"seed": 1})
        assert model.digest == "sha256:301eb013a3b3008cd895bdda52e4d10cb172c19fff450692db4955926bdde738"


class TestMessages:
    def test_missing(self, tmp_path: Path) -> None:
        """A missing file is named."""
        with pytest.raises(StorageError) as raised:
            read(tmp_path / "m.json")
        assert str(raised.value) == f"the model file {tmp_path / 'm.json'} does not exist. Check the path."

    @pytest.mark.parametrize("content", [b"", b"\n", b" \t\r\n "])
    def test_empty(self, content: bytes) -> None:
        """An empty file is called empty."""
        assert (
            refusal(content) == "model file m.json: it is empty. Use an unchanged file written by qhn2edge."
        )

    def test_truncated(self) -> None:
        """A file that ends too early is called incomplete."""
        assert refusal(CONTENT[:-3]) == (
            "model file m.json: not complete JSON (Expecting ',' delimiter at line 149). "
            "Use an unchanged file written by qhn2edge."
        )

    def test_edited(self) -> None:
        """Any change of the content is noticed."""
        assert refusal(CONTENT.replace(b'"digits-3-7"', b'"digits-3-8"')) == (
            "model file m.json: the content does not match its digest. "
            "The file was edited or damaged; export it again."
        )

    @pytest.mark.parametrize(
        ("version", "shown"), [(3, "3"), (0, "0"), ("1", "1"), (1.0, "1.0"), (True, "True"), ([1], "[1]")]
    )
    def test_unknown_version(self, version: object, shown: str) -> None:
        """Only the integers 1 and 2 are known versions."""
        assert refusal(signed(document() | {"version": version})) == (
            f"model file m.json: unknown version: got {shown}, expected 1 to 2. "
            "Use a matching qhn2edge release."
        )

    @pytest.mark.parametrize(
        ("place", "where", "known"),
        [
            ((), "the document", "format, digest, version, name, input, layers, head, provenance"),
            (("input",), "input", "n_features, encoder, feature_names"),
            (("layers", 1), "layer 2", "n_in, n_out, levels, weights, bias, activation"),
            (("layers", 0, "activation"), "layer 1 activation", "kind, shift, clip_bits"),
            (("layers", 1, "activation"), "layer 2 activation", "kind, name, low, values"),
            (("layers", 2, "activation"), "layer 3 activation", "kind"),
            (("head",), "head", "kind, classes, logit_scale"),
        ],
    )
    def test_unknown_and_missing_field(self, place: tuple[str | int, ...], where: str, known: str) -> None:
        """An unknown or missing field is named with its place, at every level."""
        edited = document()
        target: Any = edited
        for key in place:
            target = target[key]
        target["colour"] = "red"
        assert refusal(signed(edited)) == (
            f"model file m.json: {where} has an unknown field: got colour, expected {known}. "
            "Use an unchanged file written by qhn2edge."
        )
        del target["colour"]
        missing = known.rsplit(", ", maxsplit=1)[-1]
        if missing != "kind":
            del target[missing]
            assert refusal(signed(edited)) == (
                f"model file m.json: {where} lacks the field {missing}. "
                "Use an unchanged file written by qhn2edge."
            )

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('"name": "digits-3-7"', '"name": "a", "name": "a"', "a field appears twice: got name"),
            ('"seed": 3', '"seed": 3, "seed": 3', "a field appears twice: got seed"),
            ('"seed": 3', '"seed": NaN', "a number is not finite: got NaN, expected finite numbers"),
            (
                '"seed": 3',
                '"seed": -Infinity',
                "a number is not finite: got -Infinity, expected finite numbers",
            ),
            ('"seed": 3', '"seed": 1e999', "not acceptable JSON (Out of range float values are not JSON"),
            ('"seed": 3', '"seed": ' + "9" * 5000, "not acceptable JSON (Exceeds the limit (4300"),
            ('"seed": 3', '"seed": ' + "[" * 100_000, "not acceptable JSON (maximum recursion depth"),
            ('"seed": 3', '"seed": 03', "not complete JSON (Expecting ',' delimiter at line"),
            (
                '"qhn2edge-model"',
                '"qhn2edge-data"',
                "not a qhn2edge model: got qhn2edge-data, expected format",
            ),
        ],
    )
    def test_damaged_text(self, old: str, new: str, message: str) -> None:
        """Each kind of damage is told in one line."""
        assert TEXT.count(old) == 1
        assert refusal(TEXT.replace(old, new).encode()).startswith(f"model file m.json: {message}")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"[]", "not a JSON object: got list"),
            (b"null", "not a JSON object: got NoneType"),
            (b"{}", 'not a qhn2edge model: expected format "qhn2edge-model"'),
            (b"\x89PNG\r\n", "not UTF-8 text (byte 0)"),
            (b"\xef\xbb\xbf" + CONTENT, "not complete JSON (Unexpected UTF-8 BOM"),
            (CONTENT.decode().encode("utf-16"), "not UTF-8 text (byte 0)"),
            (CONTENT + b"{}", "not complete JSON (Extra data at line"),
        ],
    )
    def test_other_files(self, content: bytes, message: str) -> None:
        """Files of another kind are told apart from damaged ones."""
        assert refusal(content).startswith(f"model file m.json: {message}")

    @pytest.mark.parametrize("depth", [64, 65, 300, 600, 900])
    def test_nested_provenance_with_a_fitting_digest(self, depth: int) -> None:
        """A provenance of 64 levels is read; a deeper one is refused, never a stack overflow."""
        nested: Any = []
        for _ in range(depth - 2):
            nested = [nested]
        content = signed(document() | {"provenance": {"a": nested}})
        if depth == 64:
            assert to_text(from_bytes(content))
        else:
            assert refusal(content) == (
                "model file m.json: provenance is nested too deeply: expected at most 64 levels. "
                "Use an unchanged file written by qhn2edge."
            )

    def test_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file beyond the limit is refused before it is parsed."""
        monkeypatch.setattr("qhn2edge.modelfile.MAX_FILE_BYTES", 1000)
        assert refusal(b"[" * 1001) == (
            "model file m.json: too large: got 1,001 bytes, expected at most 1,000. "
            "Use an unchanged file written by qhn2edge."
        )

    def test_strange_file_name(self) -> None:
        """A line break in the file's name does not break the message."""
        with pytest.raises(ModelFileError) as raised:
            from_bytes(b"", "a\nb")
        assert str(raised.value).isprintable()


NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    2,
    255,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**63,
    2**64,
    10**400,
    65_535,
    65_536,
)
ODD: tuple[Any, ...] = (
    *NUMBERS,
    *(
        0.0,
        -0.0,
        1.0,
        0.5,
        1e308,
        5e-324,
        True,
        False,
        None,
        "",
        "x",
        "0000beef",
        "sign",
        "table",
        "\ud800",
        "\x00",
    ),
    *([], {}, [[]], {"kind": "sign"}, {"kind": []}, ["00000000"], [0, 1], "a" * 5000, [0] * 300),
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    """Yield the place of every value inside a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*place, key)
        yield from places(inner, (*place, key))


def edit_once(edited: Document, rng: random.Random) -> None:
    """Change a document at one random place: replace, retype, remove, rename, copy, add, swap or nest."""
    place = rng.choice([p for p in places(edited) if p[0] not in {"digest", "format"}])
    parent: Any = edited
    for key in place[:-1]:
        parent = parent[key]
    key = place[-1]
    old = parent[key]
    how = rng.randrange(8)
    if how == 0:
        parent[key] = rng.choice(ODD)
    elif how == 1 and isinstance(old, int | float):
        parent[key] = rng.choice(
            (float(old), -old, old + 1, old - 1, bool(old), str(old), old * 2**31, [old])
        )
    elif how == 2 and isinstance(old, str):
        cut = rng.randrange(len(old) + 1)
        parent[key] = rng.choice(
            (old.upper(), old[:cut], old + old, old[:cut] + "f" + old[cut + 1 :], " " + old)
        )
    elif how == 3:
        parent.pop(key)
    elif how == 4 and isinstance(parent, dict):
        parent[rng.choice(("kind", "extra", key.upper(), key + " "))] = parent.pop(key)
    elif how == 5:
        other = rng.choice(list(places(edited)))
        source: Any = edited
        for step in other:
            source = source[step]
        parent[key] = json.loads(json.dumps(source))
    elif how == 6 and isinstance(old, list):
        rng.choice(
            (old.reverse, lambda: old.append(rng.choice(ODD)), lambda: old.extend(old[:1]), old.clear)
        )()
    elif isinstance(old, dict):
        old[rng.choice(("kind", "extra", "n_in", "\n"))] = rng.choice(ODD)
    else:
        parent[key] = [old]


def edit_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change bytes once: flip a bit, replace, insert, delete, cut, copy or swap a piece."""
    at = rng.randrange(len(content))
    end = min(len(content), at + rng.randrange(1, 40))
    other = rng.randrange(len(content))
    flipped = bytes([content[at] ^ (1 << rng.randrange(8))])
    piece = rng.choice(
        (b'"', b",", b"}", b"{", b"[", b"0", b"1", b"-", b"e9", b".0", b"\x00", b"\xff", b" ", b"\\ud800")
    )
    choices: tuple[Callable[[], bytes], ...] = (
        lambda: content[:at] + flipped + content[at + 1 :],
        lambda: content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :],
        lambda: content[:at] + piece + content[at:],
        lambda: content[:at] + content[end:],
        lambda: content[:at],
        lambda: content[at:],
        lambda: content[:at] + content[at:end] + content[at:],
        lambda: content[:at] + content[other : other + end - at] + content[end:],
    )
    return rng.choice(choices)()


class TestFuzz:
    @pytest.mark.parametrize("seed", range(4))
    def test_damaged_bytes(self, seed: int) -> None:
        """After 1 to 4 random changes of the bytes a file is refused in one line, or it is the same model."""
        rng = random.Random(seed)
        n_accepted = 0
        for _ in range(3000):
            content = CONTENT
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                content = edit_bytes(content or b"{}", rng)
            n_accepted += check_refused_or_equal(content)
        assert n_accepted < 600  # white space, mostly

    def test_every_truncation(self) -> None:
        """No proper beginning of a file is accepted, but the one that lacks the final line break only."""
        accepted = [n for n in range(len(CONTENT)) if check_refused_or_equal(CONTENT[:n])]
        assert accepted == [len(CONTENT) - 1]

    def test_every_digit_counts(self) -> None:
        """No digit or letter of the document can be another one."""
        for at in (m.start() for m in re.finditer(r"[0-9a-z]", TEXT)):
            other = "1" if TEXT[at] == "0" else "0" if TEXT[at].isdigit() else "b" if TEXT[at] == "a" else "a"
            assert not check_refused_or_equal((TEXT[:at] + other + TEXT[at + 1 :]).encode())

    @pytest.mark.parametrize("seed", range(4))
    def test_edited_documents_with_a_fitting_digest(self, seed: int) -> None:
        """Behind a correct digest, a document is refused in one line, or its model writes it again."""
        rng = random.Random(seed)
        n_accepted = 0
        for _ in range(1500):
            edited = document()
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                edit_once(edited, rng)
            try:
                content = signed(edited)
            except ValueError:  # a number beyond float64 has no digest
                content = json.dumps(edited).encode()
            try:
                found = from_bytes(content, "m.json")
            except QhnError as error:
                assert type(error) is ModelFileError
                assert str(error).isprintable()
                continue
            n_accepted += 1
            assert canonical_json(json.loads(to_text(found))) == canonical_json(json.loads(content))
            assert from_bytes(to_text(found).encode()) == found
        assert 30 < n_accepted < 1200  # both ways are exercised

    @pytest.mark.parametrize("seed", range(2))
    def test_edited_documents_with_the_old_digest(self, seed: int) -> None:
        """Behind the old digest, an edited document is refused, or it is the same model."""
        rng = random.Random(seed)
        for _ in range(800):
            edited = document()
            edit_once(edited, rng)
            check_refused_or_equal(json.dumps(edited).encode())

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=200))
    def test_any_bytes(self, content: bytes) -> None:
        """Bytes of any kind are refused."""
        assert not check_refused_or_equal(content)
