"""Measures budgets: short windows directly, longer ones from ledgers of closed buckets."""
