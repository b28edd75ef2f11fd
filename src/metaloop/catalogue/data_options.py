"""How data is meant, read and split, where it does not say so itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metaloop.catalogue.offered import NO_CLOCK, NONE, Allowance
from metaloop.core.encoder import Encoder
from metaloop.core.extracts import Length
from metaloop.tasks.value_range import ValueRange


@dataclass(frozen=True)
class DataOptions:
    """How DATA is meant, read and split, where it does not say so itself: what a user may ask for.

    `image_size`, `classes_at` and `value_range` are for folders and images, `columns` for tables
    and data frames, as in `tasks.readers.read`; `view` is a name of the table of views (None: what
    is best on `search`); `backbone`: the frozen encoders that inputs may be seen through: `none`,
    `auto` (those installed), names, or an encoder; `download`: their weights may be fetched where
    they are not on this machine. `split_seed` deals the classes; `strict` leaves nothing out in
    silence. `speaker_pattern` tells who speaks in a recording by its path. `allowance`: how long
    encoders that nobody has named may take. `items`: a table of what is known of the items that
    users rate, `users`: one of what is known of users. `objective`: what tasks are about where it
    is not what the data say: `generation`. `length`: what extracts of documents may
    have; `best_reference`: of several summaries the best one counts, not their mean. `label_names`:
    the name of a class of texts is one more example of it in every support.
    """

    image_size: int | None = None
    split_seed: int = 0
    classes_at: int | None = None
    value_range: ValueRange | None = None
    columns: Mapping[str, str | Sequence[str]] | None = None
    view: str | None = None
    strict: bool = False
    backbone: str | Encoder = NONE
    download: bool = False
    speaker_pattern: str | None = None
    allowance: Allowance = NO_CLOCK
    items: str | Path | None = None
    users: str | Path | None = None
    objective: str | None = None
    length: Length | None = None
    best_reference: bool | None = None
    label_names: bool = False


AS_IT_IS = DataOptions()
