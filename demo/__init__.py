"""The demonstration: `make demo` starts everything from nothing and tells the story."""
