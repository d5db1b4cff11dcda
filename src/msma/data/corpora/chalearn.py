"""First Impressions V2 as users have it on disk: mp4 files, label pickles and transcripts, in folders and archives.

The pickles are `dict[trait][clip name] -> score` with numpy scalars, and `dict[clip name] -> transcript`. They come
from other people's machines, so they are read by `label_pickle`, which knows what such a file needs and refuses
everything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, create_model

from msma.data.corpora.archives import gather
from msma.data.corpora.clip_names import by_label
from msma.data.corpora.columns import read_columns
from msma.data.corpora.label_pickle import read_label_pickle
from msma.data.corpora.manifest import Check, Found, KnownFacts, Row, readable
from msma.data.corpora.table_limits import first_duplicate
from msma.data.corpora.unpacking import Progress
from msma.files.names import caseless, composed, parts_of, shown
from msma.files.reading import MAX_SETTINGS_BYTES, read_file
from msma.files.walking import lines_on
from msma.types import TRAITS, MsmaError

T = TypeVar("T")

ANNOTATIONS = {"train": "annotation_training.pkl", "val": "annotation_validation.pkl", "test": "annotation_test.pkl"}
TRANSCRIPTIONS = ("transcription_training.pkl", "transcription_validation.pkl", "transcription_test.pkl")
ORACLE = "oracle.json"
"""The file in which `msma synth` describes its corpus."""
OTHER_FILES = (*ANNOTATIONS.values(), *TRANSCRIPTIONS, ORACLE)
MAX_LABEL_BYTES = 16 * 1024**2
MAX_TRANSCRIPT = 50_000
"""Characters; people speak twenty a second."""
NEUROTICISM_NOTE = "neuroticism is kept as stored, where it behaves as emotional stability (high = stable)"

SYNTHETIC_NOTICE = (
    "Demonstration only: these weights learned from rendered people. Their scores have no validity for real ones."
)


def find_chalearn(
    place: Path,
    check: Check | None,
    *,
    extract: Path | None = None,
    keys: Sequence[str] = (),
    columns: Sequence[Path] = (),
    clip_column: str = "clip",
    follow_links: bool = False,
    progress: Progress = lambda *_: None,
) -> Found:
    """Match the mp4 files below `place` (a folder, or one zip) with its label pickles and transcripts.

    What lies in zips is unpacked into `extract` (by default `extracted` beside what `place` holds); `keys` open the
    encrypted ones; `follow_links` looks into linked folders too. `columns` are tables with more about the clips, which
    are in the column `clip_column`. `check` finds the labelled files that cannot be read. None leaves media unread and
    gives every labelled clip a row, with the path where it is expected if it has no file. MsmaError for nothing there,
    no labels, a pickle that is not as it should be, a duplicate clip, a hostile archive, or a table of columns that
    does not fit (see `read_columns`).
    """
    home = place if place.is_dir() else place.parent
    gathered = gather(
        place, is_wanted, extract or home / "extracted", keys=keys, follow_links=follow_links, progress=progress
    )
    unique: dict[str, Path] = {}
    for path in gathered.files:
        name = name_of(path.name)
        if name in unique:
            raise MsmaError(
                f"{path}: {'the clip is ' if is_clip(name) else ''}also at {unique[name]}; keep one of them"
            )
        unique[name] = path
    labels = all_labels(unique)
    clips = by_label({name: path for name, path in unique.items() if is_clip(name)}, labels)
    if not labels:
        expected = f"no annotation pickle there; expected {', '.join(ANNOTATIONS.values())}"
        raise MsmaError("; ".join([f"{place}: {expected}", *gathered.unused[:10]]))
    transcripts = all_transcripts(unique)
    # Before any media is opened, which takes long.
    further, table_notes = read_columns(columns, clip_column, labels, ["transcript"])
    names = list(dict.fromkeys(name for values in further.values() for name in values))
    rows: list[Row] = []
    for clip, (split, target) in sorted(labels.items()):
        transcript = {} if transcripts is None else {"transcript": transcripts.get(clip, "")}
        own = transcript | {name: further.get(clip, {}).get(name, "") for name in names}
        rows.append(Row(clip, clips.get(clip, home / split / clip), clip.rsplit(".", 2)[0], split, target, own))
    unreadable: list[str] = []
    if check is not None:
        rows = readable((row for row in rows if row.clip in clips), check, unreadable)
    problems = {
        "clips without labels": sorted(clips.keys() - labels.keys()),
        "labels without clips": sorted(labels.keys() - clips.keys()),
        "unreadable": unreadable,
        "damaged in an archive": gathered.damaged,
        "archives not used": gathered.unused,
    }
    if transcripts is not None:
        problems["clips without a transcript"] = sorted(labels.keys() - transcripts.keys())
        problems["empty transcripts"] = sorted(clip for clip, text in transcripts.items() if not text.strip())
        problems["transcripts without labels"] = sorted(transcripts.keys() - labels.keys())
    if columns:
        problems["clips without further columns"] = sorted(labels.keys() - further.keys())
    notes = [NEUROTICISM_NOTE, *table_notes, *lines_on(gathered.passed_over)]
    if missing := sum(row.clip not in clips for row in rows):
        notes.append(f"{missing} of {len(rows)} clips have no file; their path is where it is expected")
    facts: dict[str, Any] = {"notes": notes}
    if ORACLE in unique:
        facts |= {"notice": SYNTHETIC_NOTICE, **oracle_facts(unique[ORACLE])}
        notes += notes_on_planted(facts.get("attribute"), names)
    return Found("synthetic" if ORACLE in unique else "first-impressions-v2", rows, facts, problems)


def is_clip(name: str) -> bool:
    return name.lower().endswith(".mp4")


def is_wanted(name: str) -> bool:
    """Whether a file of this name belongs to the corpus."""
    return is_clip(name) or name_of(name) in OTHER_FILES


def name_of(name: str) -> str:
    """The name by which a file is matched: a clip's in NFC, that of another file without upper case."""
    return shown(composed(name)) if is_clip(name) else caseless(name)


def read_annotation(path: Path) -> dict[str, tuple[float, ...]]:
    """Clip name to five scores in OCEAN order; `interview` is ignored.

    MsmaError for a file that is too large, not a pickle, or not of the expected dictionaries.
    """
    annotation = read_pickle(path, ANNOTATION)
    columns = [by_file(path, getattr(annotation, trait)) for trait in TRAITS]
    for trait, column in zip(TRAITS, columns, strict=True):
        if column.keys() != columns[0].keys():
            raise not_labels(path, f"{trait} does not score the same clips as {TRAITS[0]}")
    return {clip: tuple(column[clip] for column in columns) for clip in columns[0]}


def read_transcription(path: Path) -> dict[str, str]:
    """Clip name to transcript; MsmaError as for `read_annotation`."""
    return by_file(path, read_pickle(path, TRANSCRIPTION))


def by_file(path: Path, values: Mapping[str, T]) -> dict[str, T]:
    """Values by the names of the files: a label may have folders before it, of any system."""
    names = {name: shown(parts_of(name)[-1]) for name in values}
    if again := first_duplicate(names.values()):
        one, other = [name for name, file in names.items() if file == again][:2]
        raise not_labels(path, f"{one} and {other} are of one name; give the clips names of their own")
    return {names[name]: value for name, value in values.items()}


def read_pickle(path: Path, schema: TypeAdapter) -> Any:
    return read_file(path, partial(labels_in, schema), DOWNLOAD, MAX_LABEL_BYTES, NOT_LABELS)


def labels_in(schema: TypeAdapter, content: bytes) -> Any:
    """The checked content of a label pickle; ValueError where it does not fit."""
    try:
        return schema.validate_python(read_label_pickle(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{str(part)[:80]!r}: " for part in first["loc"] if part != "[key]")
        raise ValueError(f"{where}{first['msg'].removeprefix('Value error, ')}") from error


NOT_LABELS, DOWNLOAD = "not a label pickle of First Impressions V2", "download it again"


def not_labels(path: Path, why: str) -> MsmaError:
    return MsmaError(f"{path}: {NOT_LABELS} ({why}); {DOWNLOAD}")


def checked_name(clip: str) -> str:
    """Names, perhaps with folders before them, become paths and lines of the report."""
    parts = clip.replace("\\", "/").split("/")
    if not clip.isprintable() or {"", ".", ".."} & {*parts} or len(clip) > 200:
        raise ValueError("is not the name of a file")
    return clip


ClipName = Annotated[str, AfterValidator(checked_name)]
Score = Annotated[float, Field(ge=0, le=1)]
SCORES: dict[str, Any] = dict.fromkeys(TRAITS, (dict[ClipName, Score], ...))
ANNOTATION = TypeAdapter(create_model("Annotation", **SCORES))
TRANSCRIPTION = TypeAdapter(
    Annotated[dict[ClipName, Annotated[str, Field(max_length=MAX_TRANSCRIPT)]], Field(min_length=1)]
)


def all_labels(files: dict[str, Path]) -> dict[str, tuple[str, tuple[float, ...]]]:
    labels: dict[str, tuple[str, tuple[float, ...]]] = {}
    for split, name in ANNOTATIONS.items():
        for clip, target in read_annotation(files[name]).items() if name in files else ():
            if clip in labels:
                raise MsmaError(f"{files[name]}: clip {clip} is labelled in two splits; keep it in one")
            labels[clip] = (split, target)
    return labels


def all_transcripts(files: dict[str, Path]) -> dict[str, str] | None:
    """None where there are no transcription files."""
    paths = [files[name] for name in TRANSCRIPTIONS if name in files]
    transcripts: dict[str, str] = {}
    for path in paths:
        for clip, text in read_transcription(path).items():
            if transcripts.setdefault(clip, text) != text:
                raise MsmaError(f"{path}: clip {clip} has another transcript in another file; keep one")
    return transcripts if paths else None


def oracle_facts(oracle: Path) -> dict[str, Any]:
    """The corpus's `ceiling`, with structure `ceiling_without` each part of it, and the planted `attribute` if any."""
    return read_file(
        oracle, facts_in, "remove it, or render the corpus again", MAX_SETTINGS_BYTES, "not as `msma synth` writes it"
    )


def facts_in(content: bytes) -> dict[str, Any]:
    known = json.loads(content)
    facts: dict[str, Any] = {"ceiling": known["ceilings"]}
    if "ceilings_without" in known:
        facts["ceiling_without"] = known["ceilings_without"]
    KnownFacts.model_validate(facts)
    planted = known.get("parameters", {}).get("attribute")
    if planted is not None:
        bias = {trait: shift for trait in TRAITS if (shift := float(planted["label_bias"].get(trait, 0.0)))}
        facts["attribute"] = {"column": str(planted["column"]), "label_bias": bias}
    return facts


def notes_on_planted(attribute: dict[str, Any] | None, columns: Sequence[str]) -> list[str]:
    if attribute is None:
        return []
    column, bias = attribute["column"], attribute["label_bias"]
    notes = [f"planted: labels of {trait} are {shift:+g} where {column} is yes" for trait, shift in bias.items()]
    if column not in columns:
        notes.append(f"the corpus plants a column {column}; bring it in with --columns annotation/attributes.csv")
    return notes
