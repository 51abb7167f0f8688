"""The fixtures `bed`, `namespace`, `admin` and `kubectl` for all tests; see testbed.plugin."""

pytest_plugins = ["testbed.plugin"]
