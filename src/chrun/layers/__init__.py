"""From a tar stream to a layer: takes a blob's bytes as they arrive, gives a directory."""
