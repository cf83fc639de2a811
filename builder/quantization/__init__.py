"""What the passes of INT8 share: which layers can be quantised, tables of unary functions, the precision ledger."""
