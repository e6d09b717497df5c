"""Generators on any vendor's hardware: model files, execution providers, sessions."""
