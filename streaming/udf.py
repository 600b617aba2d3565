"""Python functions as Flink sees them: thin wrappers, importable by name inside a TaskManager."""

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.types import RowField
from pyflink.table.udf import udf

from contracts.schema import load_contract
from streaming import alerts_in
from streaming.explain import Explanation, explain

_MAP = DataTypes.MAP(DataTypes.STRING(), DataTypes.STRING())
_EXPLANATION = [DataTypes.FIELD(name, DataTypes.STRING()) for name in Explanation._fields]


def _explain(payload: bytes | None) -> Row:
    return Row(*explain(payload))


explain_refused = udf(_explain, result_type=DataTypes.ROW(_EXPLANATION))


def _read_alert(payload: bytes | None) -> Row:
    return Row(*alerts_in.read_alert(payload))


def _alert_fields() -> list[RowField]:
    return [
        DataTypes.FIELD(field.column, _MAP if field.type.startswith("map") else DataTypes.STRING())
        for field in load_contract("alert").fields
    ]


read_alert = udf(_read_alert, result_type=DataTypes.ROW([*_alert_fields(), *_EXPLANATION]))
