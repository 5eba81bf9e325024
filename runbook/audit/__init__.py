"""The proof: snapshots, the gate, three witnesses, digests."""
