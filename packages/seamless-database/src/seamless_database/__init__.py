"""HTTP face of a results database: which result has which transformation, for every machine that asks.

`python -m seamless_database FILE` runs it. The rules are in `request_types`, their texts in
contracts/database-protocol.md, the engine in `seamless_store`.
"""
