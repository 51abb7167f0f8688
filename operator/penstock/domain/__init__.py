"""The core that decides: plain values in, plain values out; no clock, no input, no output."""
