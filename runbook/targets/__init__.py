"""The databases that can be migrated, behind one protocol: SQLite files and Cloudflare D1."""
