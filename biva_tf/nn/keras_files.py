"""Where the weights of a layer stand in a .keras file.

Keras places them by the attributes and the classes that a layer is nested in, which change from
version to version of this package. It writes the layer's name beside them, which does not.
"""

import collections
import weakref
from typing import Any

_paths_of: "weakref.WeakKeyDictionary[Any, dict[str, str]]" = weakref.WeakKeyDictionary()


def of_layer(store: Any, name: str) -> Any:
    """What a file has of the layer of a name, for `load_own_variables`.

    Args:
      store: what Keras gives to that method. If it is no HDF5 file, or no layer of the file or
        several of them have the name, the result is the store as it is.
      name: the layer's name.
    """
    file = getattr(store, "h5_file", None)
    if not hasattr(file, "visititems"):
        return store
    if store not in _paths_of:
        _paths_of[store] = _paths(file)
    path = _paths_of[store].get(name)
    return store if path is None else store.get(path)


def _paths(file: Any) -> dict[str, str]:
    """The path of each layer that has weights, by its name."""
    found = collections.defaultdict(list)

    def note(path: str, entry: Any) -> None:
        if path.endswith("/vars") and len(entry) and "name" in entry.attrs:
            found[entry.attrs["name"]].append(path.removesuffix("/vars"))

    file.visititems(note)
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}
