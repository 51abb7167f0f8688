"""`python -m penstock` is the command `penstock`, for images and folders without the script."""

from __future__ import annotations

from penstock.cli import main

raise SystemExit(main())
