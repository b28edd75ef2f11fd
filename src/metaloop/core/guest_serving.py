"""The other side of `GuestProcess`: fits guests and answers, until stdin ends.

    to the process     {"do": "fit", "key", "recipe", "seed", "num_classes"}, the support and
                       what the recipe needs as arrays
                       {"do": "predict", "key"}, inputs
                       {"do": "tensors", "key"}: what a model file may hold of the guest
    from it            {"known": true or false}, outputs (and the classes of a classifier)

It keeps the last few fitted guests by their key. Whoever asks for one that is gone (`known` is
false) fits it again: equal recipe, support and seed give an equal guest.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np

from metaloop.core.errors import GuestError, MissingExtraError
from metaloop.core.messages import Arrays, read_message, write_message

Make = Callable[[Mapping[str, Any], Arrays, int, int], Any]
"""`(recipe, arrays, seed, num_classes) -> guest`: with `fit`, and `predict_proba` or `predict`."""

_KEPT = 16  # fitted guests: an evaluation asks each right after it was fitted
_LONGEST_LINE = 300


def serve(make: Make) -> None:
    """Answers until stdin ends; it does not return. Whatever is printed goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    incoming, outgoing = _take_standard_streams()
    questions: SimpleQueue[tuple[dict[str, Any], dict[str, np.ndarray]]] = SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, questions), daemon=True).start()
    fitted: OrderedDict[str, Any] = OrderedDict()
    while True:
        content, arrays = questions.get()
        try:
            said, found = _answer(make, fitted, content, arrays)
        except (GuestError, MissingExtraError) as error:
            said, found = {"error": str(error), "kind": type(error).__name__}, {}
        except Exception as error:
            reason = " ".join(str(error).split())[:_LONGEST_LINE]
            said = {"error": f"{type(error).__name__}: {reason}", "kind": "GuestError"}
            found = {}
        try:
            write_message(outgoing, said, found)
        except OSError:
            os._exit(1)


def _answer(
    make: Make, fitted: OrderedDict[str, Any], content: Mapping[str, Any], arrays: Arrays
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    key = content["key"]
    if content["do"] == "fit":
        inputs, targets = arrays["support.inputs"], arrays["support.targets"]
        others = {name: array for name, array in arrays.items() if not name.startswith("support.")}
        guest = make(content["recipe"], others, content["seed"], content["num_classes"])
        fitted[key] = guest.fit(np.array(inputs), np.array(targets))
        while len(fitted) > _KEPT:
            fitted.popitem(last=False)
        return {"known": True}, {}
    if key not in fitted:
        return {"known": False}, {}
    fitted.move_to_end(key)
    guest = fitted[key]
    if content["do"] == "tensors":
        return {"known": True}, guest.tensors()
    inputs = np.array(arrays["inputs"])
    if hasattr(guest, "predict_proba"):
        found = {"outputs": guest.predict_proba(inputs), "classes": guest.classes_}
    else:
        found = {"outputs": guest.predict(inputs)}
    return {"known": True}, {name: np.asarray(array) for name, array in found.items()}


def _listen(incoming: BinaryIO, questions: SimpleQueue[Any]) -> None:
    """Passes questions on; ends the process, whatever it does, when there will be no more."""
    while (message := read_message(incoming)) is not None:
        questions.put(message)
    os._exit(0)


def _take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Returns what stdin and stdout were; from now on they are nothing and stderr."""
    incoming, outgoing = os.dup(0), os.dup(1)  # not inherited by what libraries start
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb")
