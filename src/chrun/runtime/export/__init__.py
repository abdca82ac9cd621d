"""Stand-alone equivalents of a run, for people who have another tool, or want to read one.

An `Exportable` goes in, an `Export` comes out: text, and what the text does not hold. It
makes nothing: `engine/export.py` writes files and copies root file systems.
"""
