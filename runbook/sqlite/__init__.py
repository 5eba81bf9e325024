"""SQLite files, nothing of migrating: connections, quoting, tables, cells, strict comparison."""
