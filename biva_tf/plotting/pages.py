"""What a model of text draws, as a page of lines."""

import numpy as np


def page(texts: np.ndarray) -> str:
    """Sentences as a page.

    Args:
      texts: strings [n], a line each; or [n, columns], where the sentences of a row follow each
        other and an empty line follows the row.
    """
    rows = texts if texts.ndim == 1 else ["\n".join((*row, "")) for row in texts]
    return "".join(f"{row}\n" for row in rows)
