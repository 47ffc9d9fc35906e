"""YAML rule files <-> the model of core/definition.py: schema, loading with line numbers, rule tests, reference."""
