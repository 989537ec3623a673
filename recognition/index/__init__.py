"""The index: immutable HDF5 segments (segment), listed by generations (generation, store), read as one (opened).

One writer at a time adds to it (writer); folders and CSV files of photographs come in through ingest.
"""
