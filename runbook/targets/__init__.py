"""The databases that can be migrated, behind one protocol."""
