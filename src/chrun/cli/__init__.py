"""The command line: words -> API calls -> output. Only `main` catches, prints errors and exits."""
