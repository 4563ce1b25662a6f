"""scikit-learn's `MLPClassifier` and `MLPRegressor`, on this library.

The names, the numbers and the errors are scikit-learn's: the same `random_state` draws the same initial weights, the
same split and the same batches (NumPy's generator draws them, as there), and sgd and adam are those of scikit-learn, so
that without sample weights the curve of losses is the same to rounding. The epochs are those of
`jaxmlp.training.train`, some of them in one compiled call. As in scikit-learn the dtype of X decides: float64 data are
computed in float64, whatever `jax_enable_x64` says; float32 is faster, and what a GPU wants.
"""

try:
    from sklearn.utils.validation import validate_data  # noqa: F401  # new in scikit-learn 1.6
except ImportError as error:
    raise ImportError(
        "jaxmlp.estimators needs scikit-learn 1.6 or newer: python -m pip install 'jaxmlp[estimators]'"
    ) from error

from jaxmlp.estimators.classifier import MLPClassifier
from jaxmlp.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
