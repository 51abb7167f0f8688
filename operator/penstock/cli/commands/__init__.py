"""The commands, one file each: ``NAME``, ``HELP``, ``add_arguments`` and ``run``."""
