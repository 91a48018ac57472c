"""Array types, named by the kind of their elements and their size in bytes."""

import numpy as np
import numpy.typing as npt

__all__ = ["B1", "F4", "F8", "I1", "I4", "I8", "U1", "U2", "U4"]

B1 = npt.NDArray[np.bool_]
F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I1 = npt.NDArray[np.int8]
I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
U1 = npt.NDArray[np.uint8]
U2 = npt.NDArray[np.uint16]
U4 = npt.NDArray[np.uint32]
