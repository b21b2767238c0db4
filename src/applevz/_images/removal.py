# SPDX-License-Identifier: Apache-2.0
"""What is in the cache, and what goes from it."""

from __future__ import annotations

from .._values.arguments import PathLike, wrong_type
from ..errors import ImageNotFoundError, make
from .cached_states import prune_cached_states, remove_states_needing
from .catalog import architecture_argument
from .image import Image
from .store import Store
from .task import Task

__all__ = ["list_images", "prune_images", "remove_images"]


def list_images(cache: PathLike | None) -> list[Image]:
    return Store(cache).all()


def remove_images(task: Task, name: str | Image, architecture: str | None, cache: PathLike | None) -> list[Image]:
    if not isinstance(name, str | Image):
        raise wrong_type("name", name, "the name of an image (str), or an Image")
    processor = None if architecture is None else architecture_argument(architecture)
    store = Store(cache)
    if isinstance(name, Image):
        found = [image for image in store.all() if image == name]
        if not found:
            reason = "It was removed, or changed, or is in another cache."
            raise make(ImageNotFoundError, f"The image {name.path!r} is not in {str(store.folder)!r}.", reason)
    else:
        found = list(store.find(name, processor))
    for image in found:
        with store.lock(task, f"{image.name} {image.architecture}"):
            remove_states_needing(store, image.path)
            store.remove(image)
    return found


def prune_images(task: Task, cache: PathLike | None) -> list[Image]:
    store = Store(cache)
    gone = store.prune(task)
    prune_cached_states(store)
    return gone
