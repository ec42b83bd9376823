"""Checks of a configuration against its data, before any job starts."""
