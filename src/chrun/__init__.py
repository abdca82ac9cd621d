"""chrun: any container image, on any Linux machine, with nothing running."""
