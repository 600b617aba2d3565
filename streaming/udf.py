"""Python functions as Flink sees them: thin wrappers, importable by name inside a TaskManager."""

from pyflink.table import DataTypes
from pyflink.table.udf import udtf

from streaming.explain import rows

explain_refused = udtf(
    rows, result_types=[DataTypes.STRING(), DataTypes.STRING(), DataTypes.STRING(), DataTypes.STRING()]
)
