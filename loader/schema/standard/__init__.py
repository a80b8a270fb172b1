"""The standard modules, a table each: facts, and no behaviour."""
