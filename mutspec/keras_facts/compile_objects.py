"""The names by which Keras knows its losses and metrics, as data.

Checked against Keras 3.15 by `tests/keras_facts/test_compile_objects.py`; other versions may lack some. Objects that
hold a function are left out.
"""

from __future__ import annotations

_LOSS_CLASSES = """
    BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalHinge
    Circle CosineSimilarity Dice Hinge Huber KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError
    MeanSquaredError MeanSquaredLogarithmicError Poisson SparseCategoricalCrossentropy SquaredHinge Tversky
"""
_LOSS_FUNCTIONS = """
    binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy
    categorical_hinge circle cosine_similarity ctc dice hinge huber kl_divergence log_cosh mean_absolute_error
    mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error poisson
    sparse_categorical_crossentropy squared_hinge tversky
"""
_METRIC_CLASSES = """
    AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy CategoricalCrossentropy
    CategoricalHinge ConcordanceCorrelation CosineSimilarity F1Score FBetaScore FalseNegatives FalsePositives Hinge IoU
    KLDivergence LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanSquaredError
    MeanSquaredLogarithmicError OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision PrecisionAtRecall R2Score
    Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy
    SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity SquaredHinge
    TopKCategoricalAccuracy TrueNegatives TruePositives
"""
_METRIC_NAMES = """
    auc accuracy binary_accuracy binary_crossentropy binary_io_u categorical_accuracy categorical_crossentropy
    categorical_hinge concordance_correlation cosine_similarity f1_score f_beta_score false_negatives false_positives
    hinge io_u kl_divergence log_cosh_error mean_absolute_error mean_absolute_percentage_error mean_io_u
    mean_squared_error mean_squared_logarithmic_error one_hot_io_u one_hot_mean_io_u pearson_correlation poisson
    precision precision_at_recall r2_score recall recall_at_precision root_mean_squared_error
    sensitivity_at_specificity sparse_categorical_accuracy sparse_categorical_crossentropy
    sparse_top_k_categorical_accuracy specificity_at_sensitivity squared_hinge top_k_categorical_accuracy
    true_negatives true_positives
"""

LOSSES = frozenset(_LOSS_CLASSES.split())
METRICS = frozenset(_METRIC_CLASSES.split())
"""The classes."""

_SHORT_LOSSES = "bce BCE kld KLD mae MAE mape MAPE mse MSE msle MSLE"
_SHORT_METRICS = "bce BCE mae MAE mape MAPE mse MSE msle MSLE acc ce crossentropy"

LOSS_NAMES = frozenset(f"{_LOSS_FUNCTIONS} {_SHORT_LOSSES}".split()) | LOSSES
METRIC_NAMES = frozenset(f"{_METRIC_NAMES} {_SHORT_METRICS}".split()) | METRICS
"""The texts that `compile` takes. The last three of the metrics are understood by `compile` alone."""
