"""Python functions as Flink sees them: thin wrappers, importable by name inside a TaskManager."""

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import udf

from streaming.explain import Explanation, explain


def _explain(payload: bytes | None) -> Row:
    return Row(*explain(payload))


explain_refused = udf(
    _explain, result_type=DataTypes.ROW([DataTypes.FIELD(name, DataTypes.STRING()) for name in Explanation._fields])
)
