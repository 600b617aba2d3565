"""SQL as text, for whoever writes it without loading DuckDB."""


def quote(text: str) -> str:
    """`text` as an SQL string literal."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
