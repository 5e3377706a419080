"""A photograph to degrade."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data


@pytest.fixture(scope="session")
def photograph() -> NDArray[np.uint8]:
    """A piece of 192x256 pixels with a face, cloth and sky."""
    return np.ascontiguousarray(data.astronaut()[40:232, 120:376])


@pytest.fixture(scope="session")
def picture(photograph: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The same in [0, 1]."""
    return photograph / 255.0
