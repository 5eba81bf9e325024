"""The proof: exact snapshots, strict comparison, and three independent witnesses."""
