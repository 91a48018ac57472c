"""What a program that starts does not load: scipy's BLAS, until a kernel uses it."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
import numba
import twins.compiled.jit
import numba.np.arraymath

assert "scipy.linalg" not in sys.modules
square = numba.njit(lambda matrix: matrix @ matrix)
assert square(2.0 * np.eye(3))[0, 0] == 4.0
assert "scipy.linalg" in sys.modules
assert numba.njit(lambda matrix: np.cov(matrix))(np.eye(2))[0, 0] == 0.5
"""


def test_a_kernel_of_a_sites_model_may_still_multiply_matrices():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
